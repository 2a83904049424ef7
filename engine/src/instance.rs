//! Which instance this is among those that share a network stack.
//!
//! Two engines on one host must not answer to each other's replies, so each holds a number of its own, which
//! becomes part of every ICMP identifier. The number is held by a socket in the abstract namespace of
//! unix(7): the kernel keeps it unique within the network namespace and frees it with the process, however
//! that ends.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use megaping_probe::identity::INSTANCES;

/// A number below [`INSTANCES`], held until dropped.
#[derive(Debug)]
pub struct Instance {
    number: u16,
    _held_by: UnixDatagram,
}

impl Instance {
    /// Takes the first free number from `start` on.
    ///
    /// # Errors
    /// When all [`INSTANCES`] numbers are taken (`AddrInUse`), or the operating system refuses the socket.
    pub fn acquire(start: u16) -> io::Result<Instance> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for number in (0..INSTANCES).map(|step| (start % INSTANCES + step) % INSTANCES) {
            let name = SocketAddr::from_abstract_name(format!("megaping-instance-{number}"))?;
            match UnixDatagram::bind_addr(&name) {
                Ok(held_by) => return Ok(Instance { number, _held_by: held_by }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_until_given_back() {
        let first = Instance::acquire(7).unwrap();
        let second = Instance::acquire(first.number()).unwrap();
        assert_ne!(first.number(), second.number());
        let number = first.number();
        drop(first);
        assert_eq!(Instance::acquire(number).unwrap().number(), number);
    }
}
