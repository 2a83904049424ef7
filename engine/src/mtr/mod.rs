//! `megaping mtr`: paths watched live.
//!
//! [`model`] is what is known of them; [`screen`] draws it and [`report`] prints it.

pub mod field;
mod live;
pub mod model;
pub mod report;
mod run;
pub mod screen;
#[cfg(test)]
pub mod testing;
pub mod words;

pub use run::{MtrError, run};
