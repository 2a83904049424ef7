//! Outcomes to disk and onward. Never sees a packet.
pub mod batch;
