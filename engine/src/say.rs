//! Standard error, where the program speaks to people.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line, at once and whole. A reader who is gone (`2>&1 | head -1`) wants no more lines, and is no
/// reason to fail: `eprintln!` would panic.
pub fn say(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
