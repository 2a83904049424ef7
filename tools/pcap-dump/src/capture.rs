//! Captures as a stream of records: classic pcap and pcapng (IETF drafts `opsawg-pcap` and `opsawg-pcapng`).
//!
//! The crate underneath finds blocks and reads the headers of files, sections and interfaces. Packets are read
//! here from their raw form: what it checks beyond that refuses good captures (packets longer than the snapshot
//! length, which is what cutting is for) and takes every pcapng time for nanoseconds.

use std::io::{Chain, Cursor, Read};

use pcap_file::TsResolution;
use pcap_file::pcap::PcapReader;

use crate::pcapng::Blocks;
use crate::{Error, LinkType};

/// A captured packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Its number in the capture, from 1.
    pub number: u64,
    /// When it was captured, in nanoseconds since the Unix epoch; none where the capture does not say (simple
    /// packet blocks), or says a time outside of the years 1970 to 2554.
    pub time_ns: Option<u64>,
    /// What the bytes begin with.
    pub link: LinkType,
    /// What was kept of it.
    pub data: &'a [u8],
    /// Bytes that it had on the wire.
    pub original_len: u32,
}

/// A capture that is being read.
pub struct Capture<R: Read> {
    format: Format<Input<R>>,
    packets: u64,
}

/// The magic number was read already when the format's reader begins.
type Input<R> = Chain<Cursor<Vec<u8>>, R>;

enum Format<R: Read> {
    Pcap { reader: PcapReader<R>, link: LinkType, tick_ns: u64, data: Vec<u8> },
    PcapNg(Box<Blocks<R>>),
}

impl<R: Read> Capture<R> {
    /// Reads the header of a capture, which decides on its format.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Empty`], [`Error::NotACapture`], [`Error::Torn`] and [`Error::Format`] for a
    /// header that cannot be read; [`Error::LinkType`] where a classic pcap's is not known.
    pub fn new(mut input: R) -> Result<Capture<R>, Error> {
        let mut magic = Vec::with_capacity(4);
        input.by_ref().take(4).read_to_end(&mut magic).map_err(Error::Read)?;
        let format = match magic[..] {
            [] => return Err(Error::Empty),
            // Microseconds and nanoseconds, in either byte order.
            [0xa1, 0xb2, 0xc3, 0xd4]
            | [0xa1, 0xb2, 0x3c, 0x4d]
            | [0xd4, 0xc3, 0xb2, 0xa1]
            | [0x4d, 0x3c, 0xb2, 0xa1] => pcap(Cursor::new(magic).chain(input))?,
            // A section header block; its magic number for the byte order stands behind its length.
            [0x0a, 0x0d, 0x0d, 0x0a] => {
                Format::PcapNg(Box::new(Blocks::new(Cursor::new(magic).chain(input))?))
            }
            _ => return Err(Error::NotACapture(magic)),
        };
        Ok(Capture { format, packets: 0 })
    }

    /// The next packet; none at the end.
    ///
    /// # Errors
    /// As [`Capture::new`]; [`Error::LinkType`] where the interface of a packet in a pcapng has one that is not
    /// known.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, Error> {
        let packets = self.packets;
        let record = match &mut self.format {
            Format::PcapNg(blocks) => blocks.next_record(packets)?,
            Format::Pcap { reader, link, tick_ns, data } => {
                let Some(packet) = reader.next_raw_packet() else { return Ok(None) };
                let packet = packet.map_err(|error| Error::reading(error, packets))?;
                data.clear();
                data.extend_from_slice(&packet.data);
                let (seconds, ticks) = (u64::from(packet.ts_sec), u64::from(packet.ts_frac));
                Some(Record {
                    number: packets + 1,
                    time_ns: Some(seconds * 1_000_000_000 + ticks * *tick_ns),
                    link: *link,
                    data,
                    original_len: packet.orig_len,
                })
            }
        };
        self.packets += u64::from(record.is_some());
        Ok(record)
    }
}

fn pcap<R: Read>(input: R) -> Result<Format<R>, Error> {
    let reader = PcapReader::new(input).map_err(|error| Error::reading(error, 0))?;
    let header = reader.header();
    // The upper half says whether frames end in a check sequence, which no IP length covers.
    let number = u32::from(header.datalink) & 0xffff;
    let link = LinkType::from_number(number).ok_or(Error::LinkType(number))?;
    let tick_ns = if header.ts_resolution == TsResolution::NanoSecond { 1 } else { 1000 };
    Ok(Format::Pcap { reader, link, tick_ns, data: Vec::new() })
}
