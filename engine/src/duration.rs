//! Spans of time and other scaled numbers as people write them: `1`, `0.2`, `200ms`, `5m`.

use thiserror::Error;

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Why a text is not a span of time.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DurationError {
    /// It does not begin with a decimal number.
    #[error("'{0}' is not a time: write seconds, as in 1 or 0.2, or a unit, as in 200ms, 1s, 5m, 2h or 30d")]
    NotANumber(String),
    /// What follows the number is no unit.
    #[error("'{0}' is not a unit of time: write ns, us, ms, s, m, h or d, or nothing for seconds")]
    UnknownUnit(String),
    /// More nanoseconds than 64 bits hold.
    #[error("'{0}' is too long: at most 584 years can be told apart")]
    TooLong(String),
}

/// Reads a span of time in nanoseconds: a decimal number of seconds, as ping takes it, or one with a unit
/// (`ns`, `us`, `ms`, `s`, `m`, `h`, `d`). Digits below a nanosecond are cut off.
///
/// # Errors
/// [`DurationError`], which says what would be right.
pub fn parse_ns(text: &str) -> Result<u64, DurationError> {
    let (number, unit) = split_number(text);
    let unit_ns = match unit {
        "" | "s" => SECOND_NS,
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "m" | "min" => 60 * SECOND_NS,
        "h" => 3_600 * SECOND_NS,
        "d" => 86_400 * SECOND_NS,
        _ if number.is_empty() => return Err(DurationError::NotANumber(text.to_owned())),
        _ => return Err(DurationError::UnknownUnit(unit.to_owned())),
    };
    match scaled(number, unit_ns) {
        Scaled::Value { floor, .. } => Ok(floor),
        Scaled::NotANumber => Err(DurationError::NotANumber(text.to_owned())),
        Scaled::TooLarge => Err(DurationError::TooLong(text.to_owned())),
    }
}

/// What a decimal number makes when it is multiplied by its unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scaled {
    /// The product, rounded down, and whether that lost nothing.
    Value {
        /// The whole part.
        floor: u64,
        /// There was no fraction.
        exact: bool,
    },
    /// Not a decimal number.
    NotANumber,
    /// Beyond 64 bits.
    TooLarge,
}

/// Splits a text behind its leading digits and points.
pub(crate) fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// `number * unit` in whole arithmetic: 0.1 seconds are 100,000,000 nanoseconds, not one less.
pub(crate) fn scaled(number: &str, unit: u64) -> Scaled {
    // Twenty digits hold every u64; eighteen of a fraction, times an hour in nanoseconds, fit in 128 bits.
    const FRACTION_DIGITS: usize = 18;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Scaled::NotANumber;
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > 20 {
        return Scaled::TooLarge;
    }
    let number_of = |text: &str| text.bytes().fold(0_u128, |sum, byte| sum * 10 + u128::from(byte - b'0'));
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let part = number_of(fraction) * u128::from(unit);
    let scale = 10_u128.pow(fraction.len() as u32);
    let product = number_of(whole) * u128::from(unit) + part / scale;
    u64::try_from(product)
        .map_or(Scaled::TooLarge, |floor| Scaled::Value { floor, exact: part.is_multiple_of(scale) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_units_are_exact() {
        for (text, ns) in [
            ("1", 1_000_000_000),
            ("0.2", 200_000_000),
            ("0.1", 100_000_000),
            (".5", 500_000_000),
            ("1.", 1_000_000_000),
            ("200ms", 200_000_000),
            ("1.5s", 1_500_000_000),
            ("1m", 60_000_000_000),
            ("2h", 7_200_000_000_000),
            ("30d", 2_592_000_000_000_000),
            ("250us", 250_000),
            ("250µs", 250_000),
            ("7ns", 7),
            ("0", 0),
            ("0.0000000019", 1),
            ("000000000000000000000001", 1_000_000_000),
        ] {
            assert_eq!(parse_ns(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn errors_say_what_would_be_right() {
        for text in ["", ".", "abc", "-1", "1.2.3", "ms", "1.2.3s", "+1"] {
            let error = parse_ns(text).unwrap_err();
            assert_eq!(error, DurationError::NotANumber(text.to_owned()));
            assert!(error.to_string().contains("200ms"));
        }
        for text in ["1x", "1 s", "3e9", "5w"] {
            assert!(matches!(parse_ns(text), Err(DurationError::UnknownUnit(_))), "{text}");
        }
        for text in ["99999999999999999999h", "18446744074", "123456789012345678901234567890ns"] {
            assert!(matches!(parse_ns(text), Err(DurationError::TooLong(_))), "{text}");
        }
    }
}
