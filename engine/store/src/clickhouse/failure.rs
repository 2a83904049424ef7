//! What went wrong at a `ClickHouse` server, sorted by what helps.

use std::time::Duration;

/// A request that was not answered as it should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody answered, or the answer broke off: another endpoint or a later time may do.
    #[error("{endpoint}: {reason}")]
    Unreachable {
        /// The server.
        endpoint: String,
        /// What the network said.
        reason: String,
    },
    /// The server cannot do it now: it is overloaded, starting, or out of something.
    #[error("{endpoint} cannot take it now: {}", brief(.message))]
    Later {
        /// The server.
        endpoint: String,
        /// Its words.
        message: String,
    },
    /// The server is not set up for us: account, rights, database or tables. Nothing that waiting heals by
    /// itself, and no fault of what was sent.
    #[error("{endpoint} refuses us: {}: {advice}", brief(.message))]
    Setup {
        /// The server.
        endpoint: String,
        /// Its words.
        message: String,
        /// What would be right.
        advice: &'static str,
    },
    /// The server will never take this very request.
    #[error("{endpoint} refuses it for good: {}", brief(.message))]
    Final {
        /// The server.
        endpoint: String,
        /// Its words.
        message: String,
    },
    /// The answer says that the server took something else than was sent.
    #[error("{endpoint} acknowledged {acknowledged} rows of {sent}")]
    Mismatch {
        /// The server.
        endpoint: String,
        /// Rows in the request.
        sent: u64,
        /// Rows that the server says it wrote.
        acknowledged: u64,
    },
}

/// `ClickHouse` error codes (`src/Common/ErrorCodes.cpp`) that blame the data: sending it again is in vain.
const FINAL: [u32; 22] = [
    6,   // CANNOT_PARSE_TEXT
    8,   // THERE_IS_NO_COLUMN
    16,  // NO_SUCH_COLUMN_IN_TABLE
    26,  // CANNOT_PARSE_QUOTED_STRING
    27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
    33,  // CANNOT_READ_ALL_DATA
    36,  // BAD_ARGUMENTS
    42,  // NUMBER_OF_ARGUMENTS_DOESNT_MATCH
    43,  // ILLEGAL_TYPE_OF_ARGUMENT
    44,  // ILLEGAL_COLUMN
    46,  // UNKNOWN_FUNCTION
    47,  // UNKNOWN_IDENTIFIER
    50,  // UNKNOWN_TYPE
    53,  // TYPE_MISMATCH
    62,  // SYNTAX_ERROR
    69,  // ARGUMENT_OUT_OF_BOUND
    70,  // CANNOT_CONVERT_TYPE
    117, // INCORRECT_DATA
    128, // TOO_LARGE_ARRAY_SIZE
    190, // SIZES_OF_ARRAYS_DONT_MATCH
    321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
    691, // UNKNOWN_ELEMENT_OF_ENUM
];

/// Codes that blame the account, and what would be right.
const ACCOUNT: [u32; 6] = [192, 193, 194, 492, 497, 516];
const ACCOUNT_ADVICE: &str = "correct the user, the password or the grants (it needs SELECT and INSERT)";
/// Codes that blame the schema.
const SCHEMA: [u32; 3] = [60, 81, 115];
const SCHEMA_ADVICE: &str = "run 'megaping schema apply' once";
/// Codes of settings that our account may not change.
const SETTINGS: [u32; 2] = [164, 452];
const SETTINGS_ADVICE: &str = "let this account change settings (readonly = 0, no constraints)";

impl Failure {
    /// The failure that a server's answer other than success means.
    #[must_use]
    pub fn of_answer(endpoint: &str, status: u16, code: Option<u32>, message: &str) -> Failure {
        let (endpoint, message) = (endpoint.to_owned(), message.trim().to_owned());
        let has = |codes: &[u32]| code.is_some_and(|code| codes.contains(&code));
        let setup = |advice| Failure::Setup { endpoint: endpoint.clone(), message: message.clone(), advice };
        if has(&ACCOUNT) {
            setup(ACCOUNT_ADVICE)
        } else if has(&SCHEMA) {
            setup(SCHEMA_ADVICE)
        } else if has(&SETTINGS) {
            setup(SETTINGS_ADVICE)
        } else if has(&FINAL) {
            Failure::Final { endpoint, message }
        } else if code.is_none() && matches!(status, 401 | 403) {
            setup(ACCOUNT_ADVICE)
        } else if message.is_empty() {
            Failure::Later { endpoint, message: format!("HTTP status {status}") }
        } else {
            Failure::Later { endpoint, message }
        }
    }

    /// Whether sending the same again is in vain.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Failure::Final { .. })
    }

    /// How long to wait at least before the next attempt, beside the growing pause of repeated failures.
    #[must_use]
    pub fn least_pause(&self) -> Duration {
        match self {
            Failure::Setup { .. } => Duration::from_secs(1),
            _ => Duration::ZERO,
        }
    }
}

/// The first line of a server's words, without the stack trace, in bounds.
fn brief(message: &str) -> &str {
    let line = message.lines().next().unwrap_or_default();
    &line[..line.floor_char_boundary(300)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sorted_by_what_helps() {
        let of = |status, code, message| Failure::of_answer("http://db:8123", status, code, message);
        assert!(of(400, Some(117), "Code: 117. bad data").is_final());
        assert!(!of(500, Some(252), "too many parts").is_final());
        for (code, words) in [(516, "password"), (60, "schema apply"), (164, "readonly")] {
            let failure = of(403, Some(code), "Code: no\nstack trace");
            assert!(!failure.is_final(), "{failure}");
            assert!(
                failure.to_string().contains(words) && !failure.to_string().contains("stack"),
                "{failure}"
            );
        }
        assert_eq!(of(502, None, "").to_string(), "http://db:8123 cannot take it now: HTTP status 502");
        assert!(matches!(of(401, None, ""), Failure::Setup { .. }));
        assert!(of(500, Some(1), &"ü".repeat(1000)).to_string().len() < 400);
    }
}
