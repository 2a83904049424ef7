//! What was seen in a packet, as plain data: text and JSON are two ways to write it.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// Nanoseconds since the Unix epoch; RFC 3339 in UTC with nine digits in text and JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnixNs(pub u64);

impl fmt::Display for UnixNs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every 64-bit number is a time before the year 2555, which is within jiff's range.
        let time = Timestamp::from_nanosecond(self.0.into()).unwrap_or(Timestamp::MAX);
        write!(f, "{time:.9}")
    }
}

impl Serialize for UnixNs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a packet is. Every packet is of one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// An echo request.
    Request,
    /// An echo reply.
    Reply,
    /// An ICMP or ICMPv6 error.
    Error,
    /// Anything else: other ICMP, other protocols, fragments, packets cut before they say what they are.
    Other,
    /// It contradicts itself.
    Malformed,
}

/// A packet that was captured in part, so that it cannot be checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Cut {
    /// Bytes that were kept.
    pub captured: usize,
    /// Bytes that there were.
    pub original: usize,
}

/// The packet that an ICMP error quotes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Quoted {
    /// Its source as it was seen where the error was made.
    pub src: IpAddr,
    /// Where it was going.
    pub dst: IpAddr,
    /// TTL or hop limit that it had left.
    pub ttl: u8,
    /// IP protocol or next header; ICMP of its family for an echo request.
    pub protocol: u8,
    /// Identifier, of an echo request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u16>,
    /// Sequence number, of an echo request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u16>,
}

/// An entry of an MPLS label stack (RFC 4950).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Label {
    /// The label.
    pub label: u32,
    /// Traffic class.
    pub tc: u8,
    /// Whether it is the last of the stack.
    pub bottom: bool,
    /// Its time to live.
    pub ttl: u8,
}

/// What was seen in a packet. Fields that do not apply are empty, and left out of the JSON.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sighting {
    /// The packet's number in the capture, from 1.
    pub packet: u64,
    /// When it was captured; none where the capture does not say.
    pub time: Option<UnixNs>,
    /// What it is.
    pub class: Class,
    /// Whether it is known to carry ICMP of either family.
    #[serde(skip)]
    pub icmp: bool,
    /// Who sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<IpAddr>,
    /// Who it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst: Option<IpAddr>,
    /// TTL or hop limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u8>,
    /// IP protocol, or the next header behind IPv6 extension headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
    /// VLAN identifiers, the outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vlan: Vec<u16>,
    /// The kind of message, as one word in `snake_case`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// ICMP type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub message_type: Option<u8>,
    /// ICMP code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// Identifier, of an echo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u16>,
    /// Sequence number, of an echo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u16>,
    /// Bytes of the ICMP message, header included, on the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// MTU of the next link, of errors that say that a packet is too big for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// What an error quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted: Option<Quoted>,
    /// The label stack that an error reports, top first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mpls: Vec<Label>,
    /// Which checksums are wrong: `ip`, `icmp`, `extension` (RFC 4884).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bad_checksum: Vec<&'static str>,
    /// How it contradicts itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub malformed: Option<String>,
    /// How much of it was captured, where that is not enough to check it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
}

impl Sighting {
    /// Of a packet of which nothing is known yet.
    pub(crate) fn new(packet: u64, time: Option<UnixNs>) -> Sighting {
        Sighting {
            packet,
            time,
            class: Class::Other,
            icmp: false,
            src: None,
            dst: None,
            ttl: None,
            protocol: None,
            vlan: Vec::new(),
            kind: None,
            message_type: None,
            code: None,
            id: None,
            seq: None,
            length: None,
            mtu: None,
            quoted: None,
            mpls: Vec::new(),
            bad_checksum: Vec::new(),
            malformed: None,
            cut: None,
        }
    }

    /// Whether anything is wrong with it.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.class == Class::Malformed || !self.bad_checksum.is_empty()
    }
}
