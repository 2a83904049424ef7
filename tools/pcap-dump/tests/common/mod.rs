//! Packets made by `etherparse`, captures written by `pcap-file`: second opinions on both.
#![allow(dead_code)] // each test program uses its part

use std::borrow::Cow;
use std::time::Duration;

use etherparse::{Icmpv4Type, Icmpv6Type, PacketBuilder, VlanId};
use pcap_dump::{Capture, Error, Options, Sighting, Summary, dissect, dump};
use pcap_file::pcap::{PcapHeader, PcapWriter, RawPcapPacket};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::simple_packet::SimplePacketBlock;
use pcap_file::{DataLink, Endianness, TsResolution};

pub const NEAR: [u8; 4] = [192, 0, 2, 1];
pub const FAR: [u8; 4] = [198, 51, 100, 7];
pub const ROUTER: [u8; 4] = [203, 0, 113, 9];
pub const NEAR6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub const FAR6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// 2026-01-02T03:04:05.123456789Z.
pub const TIME: Duration = Duration::new(1_767_323_045, 123_456_789);

/// An extension structure with two labels: 24001 on top, 16 below.
pub const MPLS: [u8; 16] = [0x20, 0, 0xc5, 0xd4, 0, 12, 1, 1, 0x05, 0xdc, 0x10, 0x01, 0, 1, 0x03, 0x40];

fn built<W>(write: W) -> Vec<u8>
where
    W: FnOnce(&mut Vec<u8>),
{
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes
}

pub fn request_v4(sequence: u16) -> Vec<u8> {
    let builder = PacketBuilder::ipv4(NEAR, FAR, 64).icmpv4_echo_request(0x1234, sequence);
    built(|out| builder.write(out, &[7; 56]).unwrap())
}

pub fn reply_v4(sequence: u16) -> Vec<u8> {
    let builder = PacketBuilder::ipv4(FAR, NEAR, 57).icmpv4_echo_reply(0x1234, sequence);
    built(|out| builder.write(out, &[7; 56]).unwrap())
}

pub fn request_v6(sequence: u16) -> Vec<u8> {
    let builder = PacketBuilder::ipv6(NEAR6, FAR6, 64).icmpv6_echo_request(0x1234, sequence);
    built(|out| builder.write(out, &[7; 56]).unwrap())
}

pub fn reply_v6(sequence: u16) -> Vec<u8> {
    let builder = PacketBuilder::ipv6(FAR6, NEAR6, 57).icmpv6_echo_reply(0x1234, sequence);
    built(|out| builder.write(out, &[7; 56]).unwrap())
}

/// A time exceeded that quotes `quote` in 128 bytes with its length attribute, then `extension`.
pub fn time_exceeded_v4(quote: &[u8], extension: &[u8]) -> Vec<u8> {
    let mut body = quote.to_vec();
    body.resize(128, 0);
    body.extend_from_slice(extension);
    let kind = Icmpv4Type::Unknown { type_u8: 11, code_u8: 0, bytes5to8: [0, 32, 0, 0] };
    let builder = PacketBuilder::ipv4(ROUTER, NEAR, 61).icmpv4(kind);
    built(|out| builder.write(out, &body).unwrap())
}

/// The same of ICMPv6.
pub fn time_exceeded_v6(quote: &[u8], extension: &[u8]) -> Vec<u8> {
    let mut body = quote.to_vec();
    body.resize(128, 0);
    body.extend_from_slice(extension);
    let kind = Icmpv6Type::Unknown { type_u8: 3, code_u8: 0, bytes5to8: [16, 0, 0, 0] };
    let builder = PacketBuilder::ipv6(FAR6, NEAR6, 61).icmpv6(kind);
    built(|out| builder.write(out, &body).unwrap())
}

pub fn udp_v4() -> Vec<u8> {
    let builder = PacketBuilder::ipv4(NEAR, FAR, 64).udp(5353, 33_434);
    built(|out| builder.write(out, &[0; 20]).unwrap())
}

pub fn tagged_request(tags: &[u16]) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let id = |tag: u16| VlanId::try_new(tag).unwrap();
    let tagged = match *tags {
        [] => ethernet.ipv4(NEAR, FAR, 64),
        [tag] => ethernet.single_vlan(id(tag)).ipv4(NEAR, FAR, 64),
        [outer, inner] => ethernet.double_vlan(id(outer), id(inner)).ipv4(NEAR, FAR, 64),
        _ => panic!("two tags at most"),
    };
    built(|out| tagged.icmpv4_echo_request(0x1234, 1).write(out, &[7; 56]).unwrap())
}

pub fn arp() -> Vec<u8> {
    [&[0xff; 6][..], &[2; 6], &[8, 6], &[0; 28]].concat()
}

/// A classic pcap of whole packets, a millisecond apart, with nanoseconds.
pub fn pcap(link: DataLink, packets: &[Vec<u8>]) -> Vec<u8> {
    let whole: Vec<_> = packets.iter().map(|packet| (&packet[..], packet.len() as u32)).collect();
    pcap_cut(link, Endianness::Little, TsResolution::NanoSecond, &whole)
}

/// A classic pcap of packets, each with its length on the wire.
pub fn pcap_cut(
    datalink: DataLink,
    endianness: Endianness,
    ts_resolution: TsResolution,
    packets: &[(&[u8], u32)],
) -> Vec<u8> {
    let header = PcapHeader { datalink, endianness, ts_resolution, snaplen: 96, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for (number, &(data, orig_len)) in packets.iter().enumerate() {
        let time = TIME + Duration::from_millis(number as u64);
        let tick = if ts_resolution == TsResolution::NanoSecond { 1 } else { 1000 };
        let packet = RawPcapPacket {
            ts_sec: time.as_secs() as u32,
            ts_frac: time.subsec_nanos() / tick,
            incl_len: data.len() as u32,
            orig_len,
            data: Cow::Borrowed(data),
        };
        writer.write_raw_packet(&packet).unwrap();
    }
    writer.into_writer()
}

/// A pcapng of whole packets on one interface with this time resolution; `time` is in its ticks.
pub fn pcapng(linktype: DataLink, resolution: Option<u8>, time: u64, packets: &[Vec<u8>]) -> Vec<u8> {
    pcapng_in(Endianness::Little, linktype, resolution, time, packets)
}

/// The same in this byte order.
pub fn pcapng_in(
    endianness: Endianness,
    linktype: DataLink,
    resolution: Option<u8>,
    time: u64,
    packets: &[Vec<u8>],
) -> Vec<u8> {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), endianness).unwrap();
    let options = resolution.map(InterfaceDescriptionOption::IfTsResol).into_iter().collect();
    writer.write_pcapng_block(InterfaceDescriptionBlock { linktype, snaplen: 0, options }).unwrap();
    for packet in packets {
        let block = EnhancedPacketBlock {
            interface_id: 0,
            // The crate writes the number of nanoseconds, whatever the resolution.
            timestamp: Duration::from_nanos(time),
            original_len: packet.len() as u32,
            data: Cow::Borrowed(packet),
            options: vec![],
        };
        writer.write_pcapng_block(block).unwrap();
    }
    let last = packets.last().map_or(&[][..], |packet| packet);
    let simple = SimplePacketBlock { original_len: last.len() as u32, data: Cow::Borrowed(last) };
    writer.write_pcapng_block(simple).unwrap();
    writer.into_inner()
}

/// Everything in a capture.
pub fn sightings(bytes: &[u8]) -> Result<Vec<Sighting>, Error> {
    let mut capture = Capture::new(bytes)?;
    let mut all = Vec::new();
    while let Some(record) = capture.next_record()? {
        all.push(dissect(&record));
    }
    Ok(all)
}

/// The one packet of this kind, captured whole as raw IP.
pub fn sighting(packet: Vec<u8>) -> Sighting {
    sightings(&pcap(DataLink::RAW, &[packet])).unwrap().remove(0)
}

/// Text and summary of a capture.
pub fn dumped(bytes: &[u8], options: Options) -> (String, Summary, Result<(), Error>) {
    let (mut out, mut summary) = (Vec::new(), Summary::default());
    let result = dump(bytes, options, &mut out, &mut summary);
    (String::from_utf8(out).unwrap(), summary, result)
}
