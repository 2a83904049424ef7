//! The checks: from facts to lines.

mod interface;
mod machine;
mod process;

pub use interface::interface;
pub use machine::machine;
pub use process::process;
