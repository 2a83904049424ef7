//! From a captured packet to what it means, by the views of [`megaping_wire`].
//!
//! Bytes that are missing are a fault of the packet, unless the capture cut them off: then the packet is told as
//! far as it goes, and is neither checked nor blamed.

use megaping_wire::extension::Structure;
use megaping_wire::icmp::Message;
use megaping_wire::ipv6::Fragment;
use megaping_wire::{Addr, Answer, Error, extension, icmpv4, icmpv6, ipv4, ipv6, protocol};

use crate::link::Family;
use crate::{Class, Cut, Label, Quoted, Record, Sighting, UnixNs};
use megaping_wire::names::message_name;

/// Why a packet is not told to its end, in words.
enum Fault {
    /// Bytes are missing.
    Short(String),
    /// Bytes contradict each other.
    Wrong(String),
}

impl Fault {
    /// A parser's error about this part of the packet; none where the part is only foreign to it.
    fn of(error: Error, part: &str) -> Option<Fault> {
        match error {
            Error::Truncated => Some(Fault::Short(format!("{part} is incomplete"))),
            Error::Malformed | Error::Checksum => Some(Fault::Wrong(format!("{part} contradicts itself"))),
            Error::Unsupported => None,
        }
    }
}

/// Tells what a captured packet is.
#[must_use]
pub fn dissect(record: &Record<'_>) -> Sighting {
    let mut sighting = Sighting::new(record.number, record.time_ns.map(UnixNs));
    let original = record.original_len as usize;
    if record.data.len() < original {
        sighting.cut = Some(Cut { captured: record.data.len(), original });
    }
    let told = frame(record, &mut sighting);
    let reason = match told {
        Ok(()) => return sighting,
        Err(Fault::Short(_)) if sighting.cut.is_some() => return sighting,
        Err(Fault::Short(reason) | Fault::Wrong(reason)) => reason,
    };
    sighting.class = Class::Malformed;
    sighting.malformed = Some(reason);
    sighting
}

fn frame(record: &Record<'_>, sighting: &mut Sighting) -> Result<(), Fault> {
    let network = match record.link.strip(record.data) {
        Ok(network) => network,
        Err(error) => return Fault::of(error, record.link.header_name()).map_or(Ok(()), Err),
    };
    sighting.vlan = network.tags.iter().flatten().map(|tag| tag.vlan).collect();
    match network.family {
        Family::V4 => packet_v4(network.bytes, sighting),
        Family::V6 => packet_v6(network.bytes, sighting),
        Family::Other => Ok(()),
    }
}

/// Holds the length that an IP header claims against the bytes that are there. What the capture cut off may
/// have been padding alone, and then nothing of the packet is missing.
fn claim(claimed: usize, there: usize, sighting: &mut Sighting) -> Result<(), Fault> {
    if claimed <= there {
        sighting.cut = None;
    } else if sighting.cut.is_none() {
        return Err(Fault::Wrong(format!(
            "the IP header says {claimed} bytes from its start, but {there} are there"
        )));
    }
    Ok(())
}

fn packet_v4(bytes: &[u8], sighting: &mut Sighting) -> Result<(), Fault> {
    let Some(packet) = view(ipv4::Packet::new_quoted(bytes), "IPv4 header (version, length)")? else {
        return Ok(());
    };
    addresses(sighting, packet.source(), packet.destination(), packet.ttl());
    sighting.protocol = Some(packet.protocol());
    sighting.icmp = packet.protocol() == protocol::ICMP;
    if !packet.verify_checksum() {
        sighting.bad_checksum.push("ip");
    }
    let (total_len, header_len) = (packet.total_len() as usize, packet.header_len());
    if total_len < header_len {
        return Err(Fault::Wrong(format!(
            "total length {total_len} is less than the IPv4 header's {header_len} bytes"
        )));
    }
    claim(total_len, bytes.len(), sighting)?;
    if !sighting.icmp {
        return Ok(());
    }
    if packet.more_fragments() || packet.fragment_offset() != 0 {
        sighting.kind = Some("fragment");
        return Ok(());
    }
    let Some(message) = view(Message::new_checked(packet.payload()), "ICMP header")? else { return Ok(()) };
    let is_right = icmpv4::verify_checksum(&message);
    let is_request = message.message_type() == icmpv4::ECHO_REQUEST;
    header(sighting, &message, total_len - header_len, is_right, is_request);
    if message.message_type() == icmpv4::DESTINATION_UNREACHABLE
        && message.code() == icmpv4::unreachable::FRAGMENTATION_NEEDED
    {
        // RFC 1191 section 4: the lower half; the upper holds the length attribute since RFC 4884.
        sighting.mtu = Some(message.type_specific() & 0xffff);
    }
    if icmpv4::carries_quote(message.message_type()) {
        sighting.class = Class::Error;
        if icmpv4::carries_extensions(message.message_type()) {
            extension_checksum(sighting, message.body(), icmpv4::quote_len(&message));
        }
        if let Ok(quote) = ipv4::Packet::new_quoted(message.body()) {
            let (src, dst) = (quote.source().ip(), quote.destination().ip());
            let (ttl, protocol) = (quote.ttl(), quote.protocol());
            sighting.quoted = Some(Quoted { src, dst, ttl, protocol, id: None, seq: None });
        }
    }
    answer(sighting, Answer::from_icmpv4(&message))
}

fn packet_v6(bytes: &[u8], sighting: &mut Sighting) -> Result<(), Fault> {
    let Some(packet) = view(ipv6::Packet::new_quoted(bytes), "IPv6 header (version)")? else { return Ok(()) };
    addresses(sighting, packet.source(), packet.destination(), packet.hop_limit());
    let payload_len = packet.payload_len() as usize;
    claim(ipv6::HEADER_LEN + payload_len, bytes.len(), sighting)?;
    let Some(upper) = view(packet.upper(), "chain of IPv6 extension headers")? else { return Ok(()) };
    sighting.protocol = Some(upper.next_header);
    if upper.fragment == Fragment::Later {
        // Its own header names what the whole carries; behind it there may be more extension headers.
        sighting.icmp = upper.next_header == protocol::ICMPV6;
        sighting.kind = sighting.icmp.then_some("fragment");
        return Ok(());
    }
    sighting.icmp = upper.next_header == protocol::ICMPV6;
    if !sighting.icmp {
        return Ok(());
    }
    if upper.fragment == Fragment::First {
        sighting.kind = Some("fragment");
        return Ok(());
    }
    let message = packet.payload().get(upper.offset..).ok_or(Error::Truncated).and_then(Message::new_checked);
    let Some(message) = view(message, "ICMPv6 header")? else { return Ok(()) };
    let is_right = icmpv6::verify_checksum(&message, packet.source(), packet.destination());
    let is_request = message.message_type() == icmpv6::ECHO_REQUEST;
    header(sighting, &message, payload_len - upper.offset, is_right, is_request);
    if message.message_type() == icmpv6::PACKET_TOO_BIG {
        sighting.mtu = Some(message.type_specific());
    }
    if icmpv6::carries_quote(message.message_type()) {
        sighting.class = Class::Error;
        if icmpv6::carries_extensions(message.message_type()) {
            extension_checksum(sighting, message.body(), icmpv6::quote_len(&message));
        }
        if let Ok(quote) = ipv6::Packet::new_quoted(message.body()) {
            let protocol = ipv6::walk(quote.next_header(), quote.rest())
                .map_or(quote.next_header(), |it| it.next_header);
            let (src, dst) = (quote.source().ip(), quote.destination().ip());
            let ttl = quote.hop_limit();
            sighting.quoted = Some(Quoted { src, dst, ttl, protocol, id: None, seq: None });
        }
    }
    answer(sighting, Answer::from_icmpv6(&message))
}

/// What a parser gives, none where the bytes are only foreign to it.
fn view<T>(parsed: Result<T, Error>, part: &str) -> Result<Option<T>, Fault> {
    match parsed {
        Ok(view) => Ok(Some(view)),
        Err(error) => Fault::of(error, part).map_or(Ok(None), Err),
    }
}

fn addresses(sighting: &mut Sighting, source: Addr, destination: Addr, ttl: u8) {
    sighting.src = Some(source.ip());
    sighting.dst = Some(destination.ip());
    sighting.ttl = Some(ttl);
}

/// What every message says; the checksum counts where the message is whole.
fn header(s: &mut Sighting, message: &Message<&[u8]>, length: usize, is_right: bool, is_request: bool) {
    let is_v4 = s.src.is_some_and(|source| source.is_ipv4());
    s.message_type = Some(message.message_type());
    s.code = Some(message.code());
    s.kind = Some(message_name(is_v4, message.message_type(), message.code()));
    s.length = Some(length);
    if s.cut.is_none() && !is_right {
        s.bad_checksum.push("icmp");
    }
    if is_request {
        s.class = Class::Request;
        (s.id, s.seq) = (Some(message.identifier()), Some(message.sequence()));
    }
}

/// What an answer to an echo request says; other messages have said all they have.
fn answer(sighting: &mut Sighting, answer: Result<Answer<'_>, Error>) -> Result<(), Fault> {
    match view(answer, "quoted packet")? {
        None => Ok(()),
        Some(Answer::Reply(echo)) => {
            sighting.class = Class::Reply;
            (sighting.id, sighting.seq) = (Some(echo.identifier), Some(echo.sequence));
            Ok(())
        }
        Some(Answer::Failure { quote, extensions, .. }) => {
            if let Some(quoted) = &mut sighting.quoted {
                (quoted.id, quoted.seq) = (Some(quote.identifier), Some(quote.sequence));
            }
            if extensions.is_empty() {
                return Ok(());
            }
            let Some(structure) = view(Structure::new_checked(extensions), "extension")? else {
                return Ok(());
            };
            let label = |it: extension::Label| Label {
                label: it.label,
                tc: it.traffic_class,
                bottom: it.bottom,
                ttl: it.ttl,
            };
            sighting.mpls = structure.mpls().map(label).collect();
            structure.objects().try_for_each(|object| view(object, "extension object").map(|_| ()))
        }
    }
}

/// A structure with a wrong checksum counts as padding for the views, which have to be careful. Where the length
/// attribute points to one of the right version, it is one, and harmed.
fn extension_checksum(sighting: &mut Sighting, body: &[u8], quote_len: usize) {
    let structure = body.get(quote_len..).map(Structure::new_checked);
    if quote_len > 0 && sighting.cut.is_none() && structure == Some(Err(Error::Checksum)) {
        sighting.bad_checksum.push("extension");
    }
}
