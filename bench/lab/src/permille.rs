//! Shares on the command line: per mille, with up to three decimals, kept per million.

/// Parses "12" or "0.125" per mille into a number per million.
pub fn parse(text: &str) -> Result<u32, String> {
    let wrong =
        || format!("`{text}` is no share: 0 to 1000 per mille, with up to three decimals, such as 2.5");
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || whole.len() > 4 || decimals.len() > 3 {
        return Err(wrong());
    }
    let whole: u32 = whole.parse().map_err(|_| wrong())?;
    let thousandths: u32 = format!("{decimals:0<3}").parse().map_err(|_| wrong())?;
    let ppm = whole * 1000 + thousandths;
    if ppm > 1_000_000 { Err(wrong()) } else { Ok(ppm) }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn shares_are_exact_to_the_millionth() {
        for (text, ppm) in
            [("0", 0), ("1", 1000), ("0.001", 1), ("2.5", 2500), ("1000", 1_000_000), ("999.999", 999_999)]
        {
            assert_eq!(parse(text), Ok(ppm), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        for text in ["", ".", "1.", ".5", "-1", "1e3", "1000.001", "1001", "0.0001", "99999999999", "5%"] {
            assert!(parse(text).unwrap_err().contains("such as 2.5"), "{text}");
        }
    }
}
