//! Views over packet bytes.
mod addr;
pub use addr::Addr;
