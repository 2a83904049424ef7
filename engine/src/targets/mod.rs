//! What a run probes: addresses, CIDR blocks, ranges and host names, from the command line and from lists.
//!
//! Everything becomes one [`TargetSet`], sorted and disjoint: an address that is named twice is probed once.
//! Large blocks stay what they are, two numbers, and are walked through a [`Permutation`] of their indices;
//! nothing is ever expanded but blocks so small that an array is the cheaper form.
//!
//! What is left out of a set, openly: a block stands for all its addresses, network and broadcast addresses
//! included; multicast, `0.0.0.0/8`, `255.255.255.255` and `::` are refused, alone at once, and within a
//! larger block unless they are excluded. `240.0.0.0/4` is accepted: some networks use it inside. An IPv4
//! address in IPv6 form (`::ffff:192.0.2.1`) is that IPv4 address.

mod area;
mod builder;
mod error;
mod item;
mod list;
mod permutation;
mod resolve;
mod set;
mod span;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use area::Area;
pub use builder::TargetBuilder;
pub use error::{ItemError, Place, TargetError};
pub use permutation::Permutation;
pub use set::{Range, TargetSet};

/// Addresses that a run can hold: indices fit 48 bits.
pub const MAX_TARGETS: u64 = 1 << 48;

/// An address family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }

    /// The flag that asks for this family alone.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            Family::V4 => "-4",
            Family::V6 => "-6",
        }
    }

    /// The family of an address; an IPv4 address in IPv6 form counts as IPv4.
    #[must_use]
    pub fn of(addr: megaping_wire::Addr) -> Family {
        if addr.is_v4() { Family::V4 } else { Family::V6 }
    }
}

/// What the command line says of the targets.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TargetRequest {
    /// Addresses, CIDR blocks, ranges and host names.
    pub items: Vec<String>,
    /// Lists of the same, one a line; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Lists of what not to probe: addresses, blocks and ranges.
    pub excludes: Vec<PathBuf>,
    /// This family alone.
    pub family: Option<Family>,
}

/// Reads every list, resolves every name, and makes the set.
///
/// # Errors
/// [`TargetError`], naming the file and line, or the item, and what would be right.
pub fn load(request: &TargetRequest) -> Result<TargetSet, TargetError> {
    let lists = request.files.iter().chain(&request.excludes);
    if lists.filter(|path| list::is_stdin(path)).count() > 1 {
        return Err(TargetError::StdinTwice);
    }
    let mut builder = TargetBuilder::new(request.family);
    for item in &request.items {
        builder.add(item, &Place::command_line())?;
    }
    for path in &request.files {
        builder.add_list(path)?;
    }
    for path in &request.excludes {
        list::read(path, |item, place| builder.exclude(item, place))?;
    }
    builder.build()
}
