//! What became of a packet, as one byte on the socket and one word in comments.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! verdicts {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $word:literal;)+) => {
        /// What the engine, or the program in the kernel, made of a packet.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum Verdict {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl Verdict {
            /// All of them.
            pub const ALL: &[Verdict] = &[$(Verdict::$name,)+];

            /// The word for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Verdict::$name => $word,)+ }
            }
        }
    };
}

verdicts! {
    /// A probe that left.
    Sent = 0, "sent";
    /// A valid echo reply, the first, in time.
    Matched = 1, "matched";
    /// A valid ICMP error, the first answer, in time.
    Error = 2, "error";
    /// A valid answer to a probe that had one already.
    Duplicate = 3, "duplicate";
    /// A valid answer to a probe that had been given up.
    Late = 4, "late";
    /// A checksum is wrong.
    Corrupt = 5, "corrupt";
    /// It names a probe of ours, and its MAC is not the one that we wrote.
    InvalidMac = 6, "invalid_mac";
    /// It proves to answer a probe that was never sent.
    NotSent = 7, "not_sent";
    /// It belongs to somebody else.
    Foreign = 8, "foreign";
    /// It is not what it claims to be.
    Malformed = 9, "malformed";
    /// It landed on the ring of a shard that had to hand it to another, which has not judged it.
    HandedOver = 10, "handed_over";
    /// The program in the kernel gave it to the engine.
    Redirected = 11, "redirected";
    /// The program in the kernel passed it to the kernel.
    Passed = 12, "passed";
    /// The program in the kernel had no room for it.
    Dropped = 13, "dropped";
}

impl Verdict {
    /// The verdict of that number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Verdict> {
        Verdict::ALL.get(usize::from(number)).copied()
    }

    /// Its bit in a set of verdicts.
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Verdict {
    type Err = String;

    fn from_str(word: &str) -> Result<Verdict, String> {
        let word = word.replace('-', "_");
        Verdict::ALL.iter().find(|verdict| verdict.word() == word).copied().ok_or_else(|| {
            let words: Vec<&str> = Verdict::ALL.iter().map(|verdict| verdict.word()).collect();
            format!("no verdict; one of {} is", words.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_lead_back() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::from_number(*verdict as u8), Some(*verdict));
            assert_eq!(verdict.word().parse(), Ok(*verdict));
        }
        assert_eq!(Verdict::from_number(Verdict::ALL.len() as u8), None);
        assert!("mached".parse::<Verdict>().unwrap_err().contains("matched"));
    }
}
