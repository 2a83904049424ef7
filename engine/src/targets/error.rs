//! What can be wrong with targets, each as the sentence that the user reads.

use std::fmt;
use std::io;
use std::sync::Arc;

use thiserror::Error;

/// Where an item stood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    file: Option<Arc<str>>,
    pub(super) line: u64,
}

impl Place {
    /// On the command line.
    #[must_use]
    pub fn command_line() -> Place {
        Place { file: None, line: 0 }
    }

    /// In a list; lines count from one.
    #[must_use]
    pub fn in_file(file: &str, line: u64) -> Place {
        Place { file: Some(file.into()), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{file}:{}: ", self.line),
            None => Ok(()),
        }
    }
}

/// Why there is no target set. The message is the whole sentence, the system's error included.
#[derive(Debug, Error)]
pub enum TargetError {
    /// One item is wrong.
    #[error("{place}'{item}': {problem}")]
    Item {
        /// Where it stands.
        place: Place,
        /// The item as written.
        item: String,
        /// What is wrong, and what would be right.
        problem: ItemError,
    },
    /// A list cannot be read.
    #[error("cannot read the list {file}: {cause}; give a file that can be read, or - for standard input")]
    Read {
        /// Its path.
        file: String,
        /// The system's error.
        cause: io::Error,
    },
    /// A line is too long for a list of targets.
    #[error(
        "{place}the line is longer than {max} bytes, so this is no list of targets: give one item a line, \
         an address, block, range or host name"
    )]
    LineTooLong {
        /// Where it stands.
        place: Place,
        /// What is allowed.
        max: usize,
    },
    /// More items than a run takes.
    #[error("more than {max} items: a set that large has to be given as CIDR blocks or ranges")]
    TooManyItems {
        /// What is allowed.
        max: u64,
    },
    /// Standard input can be read but once.
    #[error("standard input (-) is named twice: it can be one list only, put the other into a file")]
    StdinTwice,
    /// A host name has no address.
    #[error("{place}'{host}' cannot be resolved: {cause}; check the name, or give an address")]
    UnknownHost {
        /// Where it stands.
        place: Place,
        /// The name.
        host: String,
        /// The resolver's error.
        cause: io::Error,
    },
    /// A host name has addresses, of the other family alone.
    #[error("{place}'{host}' has no {family} address, and {flag} asks for one: leave {flag} out")]
    HostWithoutFamily {
        /// Where it stands.
        place: Place,
        /// The name.
        host: String,
        /// The family that was asked for.
        family: &'static str,
        /// The flag that asked.
        flag: &'static str,
    },
    /// A block covers addresses that cannot be pinged.
    #[error(
        "the targets contain {first} to {last}, {what}, which cannot be pinged: name a smaller block, or \
         put {block} into an --exclude list"
    )]
    Reserved {
        /// The first such address.
        first: String,
        /// The last.
        last: String,
        /// What they are.
        what: &'static str,
        /// The reserved block in CIDR form.
        block: &'static str,
    },
    /// The set is too large.
    #[error("the targets are {count} addresses together; at most 2^48 in a run: take smaller blocks")]
    TooMany {
        /// How many.
        count: u128,
    },
    /// Nothing was named.
    #[error(
        "no target: the lists hold none; a list has one item a line, an address, block, range or host name"
    )]
    Empty,
    /// Everything that was named is excluded.
    #[error("no target is left: all {excluded} addresses that were named are excluded")]
    AllExcluded {
        /// How many.
        excluded: u64,
    },
}

/// What is wrong with one item, and what would be right.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ItemError {
    /// A prefix beyond the address.
    #[error("prefix length {len} is longer than {max}: write a number from 0 to {max}")]
    PrefixTooLong {
        /// As written.
        len: u32,
        /// Bits of an address.
        max: u32,
    },
    /// What follows the slash is no number.
    #[error("'{text}' is not a prefix length: write a number from 0 to {max}")]
    PrefixNotANumber {
        /// As written.
        text: String,
        /// Bits of an address.
        max: u32,
    },
    /// What stands before a slash is no address.
    #[error("'{text}' is not an address: a block is written as in 10.0.0.0/8 or fd00::/120")]
    BlockWithoutAddress {
        /// As written.
        text: String,
    },
    /// Looks like IPv4.
    #[error("not an IPv4 address: write four numbers from 0 to 255, no leading zeros, as in 192.0.2.1")]
    NotIpv4,
    /// Looks like IPv6.
    #[error(
        "not an IPv6 address: write it as in 2001:db8::1, and any target without brackets, port or http://"
    )]
    NotIpv6,
    /// The second half of a range.
    #[error("'{text}' is not the end of a range: write 10.0.0.1-10.0.0.99, 10.0.0.1-99 or fd00::1-fd00::ff")]
    RangeEnd {
        /// As written.
        text: String,
    },
    /// Last before first.
    #[error("the range ends before it begins: write the lower address first")]
    RangeBackwards,
    /// IPv4 to IPv6.
    #[error("the range begins in one address family and ends in the other: both have to be of one family")]
    RangeFamilies,
    /// A scope behind the address.
    #[error(
        "an address with a scope ('%...') is not taken: name the interface by -I, the address without it"
    )]
    Scope,
    /// A block beyond any run.
    #[error("{item} holds {count} addresses; at most 2^48 in a run: use /{longest} or longer")]
    TooLarge {
        /// As written.
        item: String,
        /// How many, as a power of two.
        count: String,
        /// The shortest prefix that is taken.
        longest: u32,
    },
    /// An address that cannot be pinged.
    #[error("this is {what}, which cannot be pinged: give the address of one host")]
    Reserved {
        /// What it is.
        what: &'static str,
    },
    /// An IPv6 item under -4, or the other way round.
    #[error("an {is} target, and {flag} asks for {wanted} alone: leave out {flag}, or the target")]
    WrongFamily {
        /// The item's family.
        is: &'static str,
        /// The flag.
        flag: &'static str,
        /// Its family.
        wanted: &'static str,
    },
    /// More than one item on a line.
    #[error("more than one item: write one a line, a range without spaces, a comment behind #")]
    OneALine,
    /// Nothing that we know.
    #[error("neither an address, a block (10.0.0.0/8), a range (10.0.0.1-99) nor a host name")]
    Unknown,
    /// A name in a list of exclusions.
    #[error("a host name cannot be excluded, its address may change: write an address, block or range")]
    NameExcluded,
}
