//! What can be wrong with bytes, small enough to be counted per packet.

use std::fmt;

/// Why bytes are not what a view or a parser takes them for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Error {
    /// The bytes end before what the header, or a length in it, promises.
    Truncated,
    /// A field contradicts another one or the standard: a wrong version, a header shorter than its minimum.
    Malformed,
    /// A checksum is wrong.
    Checksum,
    /// Nothing is known to be wrong, but this is not what was asked for (another protocol, a later
    /// fragment), or it nests deeper than the parsers follow.
    Unsupported,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Truncated => "packet ends before its headers say",
            Error::Malformed => "packet contradicts itself",
            Error::Checksum => "wrong checksum",
            Error::Unsupported => "not a packet of the kind asked for",
        })
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_byte_and_says_what_it_is() {
        assert_eq!(size_of::<Error>(), 1);
        let all = [Error::Truncated, Error::Malformed, Error::Checksum, Error::Unsupported];
        for (i, a) in all.iter().enumerate() {
            assert!(!a.to_string().is_empty());
            assert!(all[i + 1..].iter().all(|b| a.to_string() != b.to_string()));
        }
    }
}
