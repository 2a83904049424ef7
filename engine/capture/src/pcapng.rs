//! Writes captures: pcapng (draft-ietf-opsawg-pcapng) with comments and statistics, and classic pcap.
//!
//! Blocks are little endian, times nanoseconds, the link layer that which the tap says.

use std::io::{self, Write};

use crate::{Captured, Counts, Hello};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;

const END: u16 = 0;
const COMMENT: u16 = 1;

/// What packets begin with (tcpdump.org's registry).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// An IP packet of either family.
    Raw = 101,
    /// An Ethernet frame.
    Ethernet = 1,
}

/// Puts blocks together and writes them.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    block: Vec<u8>,
    snaplen: u32,
    written: u64,
    interfaces: u16,
}

impl<W: Write> Writer<W> {
    /// Writes the section header and an interface for each shard.
    ///
    /// # Errors
    /// That of the output.
    pub fn new(out: W, hello: &Hello, link: Link, snaplen: u32, comment: &str) -> io::Result<Writer<W>> {
        let interfaces = hello.shards.max(1);
        let mut writer = Writer { out, block: Vec::with_capacity(2048), snaplen, written: 0, interfaces };
        writer.section(hello, comment)?;
        for shard in 0..interfaces {
            writer.interface(hello, shard, link)?;
        }
        Ok(writer)
    }

    fn section(&mut self, hello: &Hello, comment: &str) -> io::Result<()> {
        self.begin(SECTION);
        self.u32(0x1a2b_3c4d);
        self.block.extend_from_slice(&[1, 0, 0, 0]);
        self.u64(u64::MAX);
        if !comment.is_empty() {
            self.option(COMMENT, comment.as_bytes());
        }
        self.option(2, hello.hardware.as_bytes());
        self.option(3, hello.os.as_bytes());
        self.option(4, hello.application.as_bytes());
        self.option(END, &[]);
        self.end()
    }

    fn interface(&mut self, hello: &Hello, shard: u16, link: Link) -> io::Result<()> {
        let Hello { backend, interface, pid, .. } = hello;
        let snaplen = self.snaplen;
        self.begin(INTERFACE);
        self.u32(link as u32);
        self.u32(snaplen);
        let name = format!("{}:{backend}/{shard}", interface.as_deref().unwrap_or("megaping"));
        self.option(2, name.as_bytes());
        let description = format!("megaping, process {pid}: ring {backend} of shard {shard}");
        self.option(3, description.as_bytes());
        self.option(9, &[9]);
        self.option(12, hello.os.as_bytes());
        self.option(END, &[]);
        self.end()
    }

    /// Writes a packet. Returns the bytes that it took.
    ///
    /// # Errors
    /// That of the output.
    pub fn packet(&mut self, packet: &Captured) -> io::Result<usize> {
        let keep = if self.snaplen == 0 { usize::MAX } else { self.snaplen as usize };
        let bytes = &packet.bytes[..packet.bytes.len().min(keep)];
        self.begin(PACKET);
        self.u32(u32::from(packet.shard.min(self.interfaces - 1)));
        self.u32((packet.time_ns >> 32) as u32);
        self.u32(packet.time_ns as u32);
        self.u32(bytes.len() as u32);
        self.u32(packet.original_len);
        self.block.extend_from_slice(bytes);
        self.pad();
        self.option(COMMENT, packet.comment().as_bytes());
        // Inbound 1, outbound 2.
        self.option(2, &u32::from(packet.direction as u8).to_le_bytes());
        self.option(END, &[]);
        self.written += 1;
        let len = self.block.len() + 4;
        self.end()?;
        Ok(len)
    }

    /// Writes the statistics block: at the end of a capture. `last_ns` is the time of it, since the epoch.
    ///
    /// # Errors
    /// That of the output.
    pub fn statistics(&mut self, counts: &Counts, first_ns: u64, last_ns: u64) -> io::Result<()> {
        self.begin(STATISTICS);
        self.u32(0);
        let halves = |time_ns: u64| {
            let mut bytes = ((time_ns >> 32) as u32).to_le_bytes().to_vec();
            bytes.extend_from_slice(&(time_ns as u32).to_le_bytes());
            bytes
        };
        self.u32((last_ns >> 32) as u32);
        self.u32(last_ns as u32);
        let Counts { seen, dropped_ring, dropped_socket } = *counts;
        let text =
            format!("dropped: {dropped_ring} by the shard's ring, {dropped_socket} by the tap's socket");
        self.option(COMMENT, text.as_bytes());
        self.option(2, &halves(first_ns));
        self.option(3, &halves(last_ns));
        self.option(4, &seen.to_le_bytes());
        self.option(5, &dropped_ring.to_le_bytes());
        self.option(6, &seen.to_le_bytes());
        self.option(7, &dropped_socket.to_le_bytes());
        self.option(8, &self.written.to_le_bytes());
        self.option(END, &[]);
        self.end()
    }

    /// Packets written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The output.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// The output, for good.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.out
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.u32(kind);
        self.u32(0);
    }

    fn end(&mut self) -> io::Result<()> {
        let len = (self.block.len() + 4) as u32;
        self.block[4..8].copy_from_slice(&len.to_le_bytes());
        self.u32(len);
        self.out.write_all(&self.block)
    }

    fn u32(&mut self, word: u32) {
        self.block.extend_from_slice(&word.to_le_bytes());
    }

    fn u64(&mut self, word: u64) {
        self.block.extend_from_slice(&word.to_le_bytes());
    }

    fn pad(&mut self) {
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let value = &value[..value.len().min(usize::from(u16::MAX))];
        self.block.extend_from_slice(&code.to_le_bytes());
        self.block.extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.block.extend_from_slice(value);
        self.pad();
    }
}

/// The header of a classic pcap file with nanoseconds.
///
/// # Errors
/// That of the output.
pub fn classic_header(out: &mut impl Write, link: Link, snaplen: u32) -> io::Result<()> {
    let mut header = 0xa1b2_3c4du32.to_le_bytes().to_vec();
    header.extend_from_slice(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.extend_from_slice(&(if snaplen == 0 { 262_144 } else { snaplen }).to_le_bytes());
    header.extend_from_slice(&(link as u32).to_le_bytes());
    out.write_all(&header)
}

/// A packet of a classic pcap file, which has no room for what is known of it. Returns the bytes that it took.
///
/// # Errors
/// That of the output.
pub fn classic_packet(out: &mut impl Write, packet: &Captured, snaplen: u32) -> io::Result<usize> {
    let keep = if snaplen == 0 { usize::MAX } else { snaplen as usize };
    let bytes = &packet.bytes[..packet.bytes.len().min(keep)];
    let (seconds, nanos) = (packet.time_ns / 1_000_000_000, packet.time_ns % 1_000_000_000);
    let words = [seconds as u32, nanos as u32, bytes.len() as u32, packet.original_len];
    for word in words {
        out.write_all(&word.to_le_bytes())?;
    }
    out.write_all(bytes)?;
    Ok(16 + bytes.len())
}
