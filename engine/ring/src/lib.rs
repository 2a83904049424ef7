//! The ways to the wire. The only room of the engine with `unsafe`.
mod packet;
pub use packet::{Counters, Departure, Incoming, Layer, Outgoing, PacketRing, Refused, RingDown, TakenBy, TimeStamp};
