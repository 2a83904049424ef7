//! Paths: echo requests whose hop limits end on the way, and what the routers there answer.

pub mod event;

pub use event::{HopEnd, HopEvent, HopMarks, Labels};
