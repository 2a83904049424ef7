//! The packets of a pcapng: enhanced and simple packet blocks, and the obsolete packet block.

use std::io::Read;

use pcap_file::Endianness;
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK,
    SIMPLE_PACKET_BLOCK,
};

use crate::{Error, LinkType, Record};

/// The blocks of a pcapng that is being read.
pub(crate) struct Blocks<R: Read> {
    reader: PcapNgReader<R>,
    /// The interfaces of this section.
    interfaces: Vec<Interface>,
    /// The body of the packet block at hand.
    body: Vec<u8>,
}

/// What an interface description says that packets need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Interface {
    link_type: u32,
    /// Zero for no limit.
    snaplen: u32,
    /// None where it is beyond all reason.
    ticks_per_second: Option<u128>,
    offset_s: i64,
}

impl<R: Read> Blocks<R> {
    pub(crate) fn new(input: R) -> Result<Blocks<R>, Error> {
        let reader = PcapNgReader::new(input).map_err(|error| Error::reading(error, 0))?;
        Ok(Blocks { reader, interfaces: Vec::new(), body: Vec::new() })
    }

    /// The next packet, behind this many of them; blocks of other kinds are passed over.
    pub(crate) fn next_record(&mut self, packets: u64) -> Result<Option<Record<'_>>, Error> {
        loop {
            let endianness = self.reader.section().endianness;
            let Some(block) = self.reader.next_raw_block() else { return Ok(None) };
            let block = block.map_err(|error| Error::reading(error, packets))?;
            match block.type_ {
                SECTION_HEADER_BLOCK => self.interfaces.clear(),
                INTERFACE_DESCRIPTION_BLOCK => {
                    self.interfaces.extend(self.reader.interfaces().last().map(Interface::new));
                }
                kind @ (ENHANCED_PACKET_BLOCK | PACKET_BLOCK | SIMPLE_PACKET_BLOCK) => {
                    self.body.clear();
                    self.body.extend_from_slice(&block.body);
                    let body = Body { bytes: &self.body, endianness };
                    return packet(kind, body, &self.interfaces, packets).map(Some);
                }
                _ => {}
            }
        }
    }
}

impl Interface {
    fn new(block: &InterfaceDescriptionBlock) -> Interface {
        let mut interface = Interface {
            link_type: block.linktype.into(),
            snaplen: block.snaplen,
            ticks_per_second: Some(1_000_000),
            offset_s: 0,
        };
        for option in &block.options {
            match *option {
                // The upper bit chooses between powers of two and of ten.
                InterfaceDescriptionOption::IfTsResol(resolution) => {
                    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
                    interface.ticks_per_second = base.checked_pow(u32::from(resolution & 0x7f));
                }
                InterfaceDescriptionOption::IfTsOffset(offset) => {
                    interface.offset_s = offset.cast_signed();
                }
                _ => {}
            }
        }
        interface
    }

    fn time_ns(self, ticks: u64) -> Option<u64> {
        let since_offset = u128::from(ticks) * 1_000_000_000 / self.ticks_per_second?;
        let time_ns = i128::try_from(since_offset).ok()? + i128::from(self.offset_s) * 1_000_000_000;
        u64::try_from(time_ns).ok()
    }
}

#[derive(Clone, Copy)]
struct Body<'a> {
    bytes: &'a [u8],
    endianness: Endianness,
}

impl Body<'_> {
    fn u32_at(self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..at + 4)?.try_into().ok()?;
        Some(match self.endianness {
            Endianness::Big => u32::from_be_bytes(bytes),
            Endianness::Little => u32::from_le_bytes(bytes),
        })
    }

    fn u16_at(self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..at + 2)?.try_into().ok()?;
        Some(match self.endianness {
            Endianness::Big => u16::from_be_bytes(bytes),
            Endianness::Little => u16::from_le_bytes(bytes),
        })
    }
}

/// What a packet block says before its bytes.
struct Header {
    interface: u32,
    /// None in a simple packet block.
    ticks: Option<u64>,
    /// None in a simple packet block.
    captured_len: Option<u32>,
    original_len: u32,
    /// Where the bytes begin.
    len: usize,
}

impl Header {
    /// None where the block is too short for it.
    fn read(kind: u32, body: Body<'_>) -> Option<Header> {
        if kind == SIMPLE_PACKET_BLOCK {
            let original_len = body.u32_at(0)?;
            return Some(Header { interface: 0, ticks: None, captured_len: None, original_len, len: 4 });
        }
        Some(Header {
            interface: if kind == PACKET_BLOCK { body.u16_at(0)?.into() } else { body.u32_at(0)? },
            ticks: Some(u64::from(body.u32_at(4)?) << 32 | u64::from(body.u32_at(8)?)),
            captured_len: Some(body.u32_at(12)?),
            original_len: body.u32_at(16)?,
            len: 20,
        })
    }
}

fn packet<'a>(
    kind: u32,
    body: Body<'a>,
    interfaces: &[Interface],
    packets: u64,
) -> Result<Record<'a>, Error> {
    let format = |reason: String| Error::Format { packets, reason };
    let header = Header::read(kind, body)
        .ok_or_else(|| format("a packet block is too short for its fields".into()))?;
    let (number, original_len) = (header.interface, header.original_len);
    let interface = interfaces.get(number as usize).ok_or_else(|| {
        format(format!("interface {number} is named, but {} are described before it", interfaces.len()))
    })?;
    // A simple packet block does not say how much was kept; it is padded to four bytes.
    let captured_len = header.captured_len.unwrap_or_else(|| match interface.snaplen {
        0 => original_len,
        snaplen => original_len.min(snaplen),
    });
    let rest = body.bytes.get(header.len..).unwrap_or_default();
    let data = rest.get(..captured_len as usize).ok_or_else(|| {
        format(format!("a packet block says {captured_len} bytes, but holds {}", rest.len()))
    })?;
    Ok(Record {
        number: packets + 1,
        time_ns: header.ticks.and_then(|ticks| interface.time_ns(ticks)),
        link: LinkType::from_number(interface.link_type).ok_or(Error::LinkType(interface.link_type))?,
        data,
        original_len,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(options: Vec<InterfaceDescriptionOption<'static>>) -> Interface {
        let block = InterfaceDescriptionBlock { linktype: 1.into(), snaplen: 0, options };
        Interface::new(&block)
    }

    #[test]
    fn ticks_become_nanoseconds() {
        let resolution = |value| interface(vec![InterfaceDescriptionOption::IfTsResol(value)]);
        assert_eq!(interface(vec![]).time_ns(1_700_000_000_123_456), Some(1_700_000_000_123_456_000));
        assert_eq!(resolution(9).time_ns(1_700_000_000_123_456_789), Some(1_700_000_000_123_456_789));
        assert_eq!(resolution(0).time_ns(7), Some(7_000_000_000));
        assert_eq!(resolution(12).time_ns(1_999), Some(1));
        assert_eq!(resolution(0x8a).time_ns(1536), Some(1_500_000_000));
        // Ten to the power of 127 ticks a second, and the year 584 billion.
        assert_eq!(resolution(127).time_ns(1), None);
        assert_eq!(resolution(0).time_ns(u64::MAX), None);
    }

    #[test]
    fn an_offset_moves_the_epoch() {
        let offset =
            |seconds: i64| interface(vec![InterfaceDescriptionOption::IfTsOffset(seconds.cast_unsigned())]);
        assert_eq!(offset(10).time_ns(1), Some(10_000_001_000));
        assert_eq!(offset(-1).time_ns(1_500_000), Some(500_000_000));
        assert_eq!(offset(-2).time_ns(1_500_000), None);
        assert_eq!(offset(i64::MAX).time_ns(u64::MAX), None);
    }
}
