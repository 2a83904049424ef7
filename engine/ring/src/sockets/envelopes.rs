//! What a system call needs beside a packet's bytes: message header, address, control messages.

use std::net::{IpAddr, Ipv6Addr};

use super::control::DepartureControl;
use super::outbox::Outbox;
use super::socket::{ipv4_name, ipv6_name};

/// Bytes of an IPv6 header, which the kernel builds itself.
const IPV6_HEADER: usize = 40;

/// A socket address of either family; which one, the header's length of it says.
#[derive(Clone, Copy)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Envelopes for one batch, allocated once; they never move.
pub(crate) struct Envelopes {
    /// Hop limit and traffic class that the socket itself puts on an IPv6 packet.
    defaults: (u8, u8),
    headers: Box<[libc::mmsghdr]>,
    pieces: Box<[libc::iovec]>,
    names: Box<[Name]>,
    controls: Box<[DepartureControl]>,
}

// SAFETY: the raw pointers in `headers` and `pieces` lead to the other boxes and to the outbox's, which stay where
// they are when their owners move to another thread; they are written anew before each use (`address`).
unsafe impl Send for Envelopes {}

impl Envelopes {
    pub(crate) fn new(batch: u16, hop_limit: u8, traffic_class: u8) -> Self {
        let batch = usize::from(batch);
        // SAFETY: all zeros is a value of every C struct here: null pointers, zero lengths, AF_UNSPEC.
        let (header, name) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let piece = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            defaults: (hop_limit, traffic_class),
            headers: vec![header; batch].into_boxed_slice(),
            pieces: vec![piece; batch].into_boxed_slice(),
            names: vec![name; batch].into_boxed_slice(),
            controls: vec![DepartureControl::new(hop_limit, traffic_class); batch].into_boxed_slice(),
        }
    }

    /// How many there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.headers.len()
    }

    /// Addresses envelope `index` to the packet in `slot`. Its header is good as long as the packet stays in
    /// the outbox and both live.
    #[inline]
    pub(crate) fn address(&mut self, index: usize, outbox: &Outbox, slot: u32) {
        let (packet, bytes) = (outbox.packet(slot), outbox.bytes(slot));
        let (header, name) = (&mut self.headers[index].msg_hdr, &mut self.names[index]);
        header.msg_control = std::ptr::null_mut();
        header.msg_controllen = 0;
        let bytes = match packet.destination {
            IpAddr::V4(address) => {
                name.v4 = ipv4_name(address);
                header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                bytes
            }
            IpAddr::V6(address) => {
                name.v6 = ipv6_destination(address, bytes);
                header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                if (packet.hop_limit, packet.traffic_class) != self.defaults {
                    let control = &mut self.controls[index];
                    *control = DepartureControl::new(packet.hop_limit, packet.traffic_class);
                    header.msg_control = std::ptr::from_mut(control).cast();
                    header.msg_controllen = DepartureControl::LEN;
                }
                bytes.get(IPV6_HEADER..).unwrap_or_default()
            }
        };
        let piece = &mut self.pieces[index];
        piece.iov_base = bytes.as_ptr().cast_mut().cast();
        piece.iov_len = bytes.len();
        header.msg_name = std::ptr::from_mut(name).cast();
        header.msg_iov = std::ptr::from_mut(piece);
        header.msg_iovlen = 1;
    }

    /// The headers, for `sendmmsg`.
    #[inline]
    pub(crate) fn headers(&mut self) -> &mut [libc::mmsghdr] {
        &mut self.headers
    }

    /// One header, for `sendmsg`.
    #[inline]
    pub(crate) fn header(&self, index: usize) -> *const libc::msghdr {
        &raw const self.headers[index].msg_hdr
    }
}

/// The name of an IPv6 destination with the flow label of the packet's own header (RFC 8200 section 3), which
/// the kernel copies into the header it builds. The kernel takes any label unless some process of the machine
/// holds an exclusive lease on one (`IPV6_FLOWLABEL_MGR`): then it refuses with `EINVAL` all but zero.
#[inline]
fn ipv6_destination(address: Ipv6Addr, bytes: &[u8]) -> libc::sockaddr_in6 {
    let label = bytes.first_chunk().map_or(0, |first: &[u8; 4]| u32::from_be_bytes(*first) & 0x000f_ffff);
    ipv6_name(address, label)
}
