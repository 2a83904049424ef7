//! Who asks, and what they may.

use std::path::{Path, PathBuf};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Caller {
    /// May everything.
    Operator,
    /// Sees and touches this tenant alone.
    Tenant(String),
}

/// The tokens that are known.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    tokens: Vec<(Vec<u8>, Caller)>,
}

/// Shorter tokens are guessed.
const LEAST: usize = 16;

impl Tokens {
    /// Reads tokens from files, one each, in their first line.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn read(files: &[(PathBuf, Caller)]) -> Result<Tokens, String> {
        let read = |(path, caller): &(PathBuf, Caller)| Ok((token(path)?, caller.clone()));
        let tokens: Vec<_> = files.iter().map(read).collect::<Result<_, String>>()?;
        for (at, (token, _)) in tokens.iter().enumerate() {
            if tokens[..at].iter().any(|(other, _)| other == token) {
                return Err(format!(
                    "{}: this token is somebody else's, too: make another",
                    files[at].0.display()
                ));
            }
        }
        Ok(Tokens { tokens })
    }

    /// Who sent these headers. Without a token it is `otherwise`, if anybody.
    pub fn caller(&self, headers: &HeaderMap, otherwise: Option<&Caller>) -> Option<Caller> {
        let Some(value) = headers.get(AUTHORIZATION) else { return otherwise.cloned() };
        let given = value.as_bytes().strip_prefix(b"Bearer ")?;
        self.of(given)
    }

    /// Whose token that is.
    pub fn of(&self, given: &[u8]) -> Option<Caller> {
        let known = self.tokens.iter().find(|(token, _)| is_equal(token, given));
        known.map(|(_, caller)| caller.clone())
    }
}

fn token(path: &Path) -> Result<Vec<u8>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    let token = text.lines().next().unwrap_or_default().trim();
    if token.len() < LEAST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "{}: the first line is no token: {LEAST} or more letters, digits and signs, as `openssl rand -hex 24` makes",
            path.display()
        ));
    }
    Ok(token.as_bytes().to_vec())
}

/// In a time that does not tell how much of it was right.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_owners_and_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, token: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("{token}\n")).unwrap();
            path
        };
        let acme = || Caller::Tenant("acme".into());
        let files =
            [(file("o", "0123456789abcdef"), Caller::Operator), (file("a", "fedcba9876543210"), acme())];
        let tokens = Tokens::read(&files).unwrap();
        let headers = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        let caller = |value| tokens.caller(&headers(value), Some(&Caller::Operator));
        assert_eq!(caller("Bearer fedcba9876543210"), Some(acme()));
        assert_eq!(caller("Bearer 0123456789abcdef"), Some(Caller::Operator));
        for wrong in ["Bearer fedcba987654321", "Bearer fedcba9876543211", "fedcba9876543210", "Bearer "] {
            assert_eq!(caller(wrong), None, "{wrong}");
        }
        assert_eq!(tokens.caller(&HeaderMap::new(), Some(&Caller::Operator)), Some(Caller::Operator));
        assert_eq!(tokens.caller(&HeaderMap::new(), None), None);
        assert!(Tokens::read(&[(file("s", "short"), acme())]).unwrap_err().contains("is no token"));
        let twice =
            [(file("x", "0123456789abcdef"), acme()), (file("y", "0123456789abcdef"), Caller::Operator)];
        assert!(Tokens::read(&twice).unwrap_err().contains("somebody else's"));
    }
}
