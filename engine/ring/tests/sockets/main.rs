//! The rings over raw sockets against a real kernel, each test in a network namespace of its own. All need root.

mod lab;
mod refusals;
mod traffic;
mod uring;
