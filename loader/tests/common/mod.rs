//! Frames to run a program over, and what to check in those that come back. Nothing here is shared with the code
//! under test: checksums are summed in full, and fields are read at the offsets of the RFCs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
pub const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xb];
pub const ETHERNET: usize = 14;

/// An echo request, and everything that a test wants to vary in it.
#[derive(Debug, Clone)]
pub struct Echo {
    pub from: IpAddr,
    pub to: IpAddr,
    pub hop_limit: u8,
    pub id: u16,
    pub seq: u16,
    pub traffic_class: u8,
    /// IPv6 alone.
    pub flow_label: u32,
    pub payload: Vec<u8>,
}

impl Echo {
    pub fn to(to: &str) -> Echo {
        let to: IpAddr = to.parse().unwrap();
        let from = if to.is_ipv4() { "198.18.0.2" } else { "fd00:6d70::2" }.parse().unwrap();
        let payload = (0..56).map(|i: u8| i.wrapping_mul(37)).collect();
        Echo {
            from,
            to,
            hop_limit: 60,
            id: 0x1234,
            seq: 7,
            traffic_class: 0xb8,
            flow_label: 0x12345,
            payload,
        }
    }

    pub fn payload_len(mut self, len: usize) -> Echo {
        self.payload = (0..len).map(|i| (i * 37 + 5) as u8).collect();
        self
    }

    pub fn hop_limit(mut self, hop_limit: u8) -> Echo {
        self.hop_limit = hop_limit;
        self
    }

    /// What routers hash: the ICMP checksum or the flow label.
    pub fn flow(&self) -> u32 {
        if self.to.is_ipv6() {
            return self.flow_label;
        }
        let frame = self.frame();
        u32::from(u16::from_be_bytes([frame[ETHERNET + 22], frame[ETHERNET + 23]]))
    }

    /// The Ethernet frame.
    pub fn frame(&self) -> Vec<u8> {
        let v4 = self.to.is_ipv4();
        let mut icmp = vec![if v4 { 8 } else { 128 }, 0, 0, 0];
        icmp.extend(self.id.to_be_bytes());
        icmp.extend(self.seq.to_be_bytes());
        icmp.extend(&self.payload);
        let pseudo = if v4 { Vec::new() } else { pseudo_header(self.from, self.to, icmp.len()) };
        let check = checksum(&[&pseudo, &icmp]);
        icmp[2..4].copy_from_slice(&check.to_be_bytes());
        let mut frame = [FAR_MAC, NEAR_MAC].concat();
        frame.extend(if v4 { [0x08, 0x00] } else { [0x86, 0xdd] });
        frame.extend(self.ip_header(icmp.len()));
        frame.extend(icmp);
        frame
    }

    fn ip_header(&self, length: usize) -> Vec<u8> {
        match (self.from, self.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut ip = vec![0x45, self.traffic_class];
                ip.extend((length as u16 + 20).to_be_bytes());
                ip.extend([0, 1, 0x40, 0, self.hop_limit, 1, 0, 0]);
                ip.extend(from.octets());
                ip.extend(to.octets());
                let check = checksum(&[&ip]);
                ip[10..12].copy_from_slice(&check.to_be_bytes());
                ip
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let mut ip =
                    (6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label).to_be_bytes().to_vec();
                ip.extend((length as u16).to_be_bytes());
                ip.extend([58, self.hop_limit]);
                ip.extend(from.octets());
                ip.extend(to.octets());
                ip
            }
            mixed => panic!("two families in one packet: {mixed:?}"),
        }
    }
}

/// A frame taken apart.
#[derive(Debug)]
pub struct Answer {
    pub from: IpAddr,
    pub to: IpAddr,
    pub hop_limit: u8,
    /// From the type to the end of the packet.
    pub icmp: Vec<u8>,
    pub icmp_checksum_ok: bool,
}

/// Reads an answer; asserts all that must hold for any: addresses of the frame, lengths, header checksum.
pub fn read(frame: &[u8]) -> Answer {
    assert_eq!(frame[..6], NEAR_MAC);
    assert_eq!(frame[6..12], FAR_MAC);
    let ip = &frame[ETHERNET..];
    if frame[12..14] == [0x08, 0x00] {
        assert_eq!(ip[0], 0x45);
        assert_eq!(u16::from_be_bytes([ip[2], ip[3]]) as usize, ip.len(), "total length");
        assert_eq!(checksum(&[&ip[..20]]), 0, "IPv4 header checksum");
        assert_eq!(ip[9], 1);
        let address = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]).into();
        let icmp = ip[20..].to_vec();
        let ok = checksum(&[&icmp]) == 0;
        return Answer { from: address(12), to: address(16), hop_limit: ip[8], icmp, icmp_checksum_ok: ok };
    }
    assert_eq!(frame[12..14], [0x86, 0xdd]);
    assert_eq!(ip[0] >> 4, 6);
    assert_eq!(u16::from_be_bytes([ip[4], ip[5]]) as usize + 40, ip.len(), "payload length");
    assert_eq!(ip[6], 58);
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&ip[at..at + 16]).unwrap()).into();
    let (from, to, icmp) = (address(8), address(24), ip[40..].to_vec());
    let ok = checksum(&[&pseudo_header(from, to, icmp.len()), &icmp]) == 0;
    Answer { from, to, hop_limit: ip[7], icmp, icmp_checksum_ok: ok }
}

/// An ICMP error taken apart.
#[derive(Debug)]
pub struct Report {
    pub quote: Vec<u8>,
    pub labels: Vec<u32>,
    /// Index and MTU of an interface information object.
    pub interface: Option<(u32, u32)>,
    /// Whether the length attribute is there.
    pub told: bool,
}

/// Reads an error; `extended` says that it has extensions, which those without a length attribute do not tell.
/// Asserts the shapes of RFC 4884, RFC 4950 and RFC 5837.
pub fn read_error(icmp: &[u8], v4: bool, extended: bool) -> Report {
    let length = if v4 { usize::from(icmp[5]) * 4 } else { usize::from(icmp[4]) * 8 };
    assert!(icmp[4..8].iter().filter(|b| **b != 0).count() <= 1, "unused bytes are zero");
    let mut report =
        Report { quote: icmp[8..].to_vec(), labels: Vec::new(), interface: None, told: length > 0 };
    if !extended {
        assert_eq!(length, 0);
        return report;
    }
    assert!(length == 0 || length == 128);
    let extension = &icmp[8 + 128..];
    report.quote.truncate(128);
    assert_eq!(extension[0], 0x20, "version 2");
    assert_eq!(checksum(&[extension]), 0, "checksum of the extension");
    let word = |at: usize| u32::from_be_bytes(extension[at..at + 4].try_into().unwrap());
    let mut at = 4;
    while at < extension.len() {
        let (size, class) = ((word(at) >> 16) as usize, word(at) as u16);
        let words = (at + 4..at + size).step_by(4).map(word);
        match class {
            0x0101 => report.labels = labels(&words.collect::<Vec<_>>()),
            0x0209 => report.interface = Some((word(at + 4), word(at + 8))),
            other => panic!("class and type {other:#x}"),
        }
        at += size;
    }
    assert_eq!(at, extension.len());
    report
}

fn labels(entries: &[u32]) -> Vec<u32> {
    for (i, entry) in entries.iter().enumerate() {
        assert_eq!(entry >> 8 & 1 == 1, i + 1 == entries.len(), "only the last is the bottom of the stack");
        assert_eq!(entry & 0xff, 1, "TTL of the label");
    }
    entries.iter().map(|entry| entry >> 12).collect()
}

/// RFC 1071 over the parts in turn, each but the last of even length.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// RFC 8200, section 8.1.
fn pseudo_header(from: IpAddr, to: IpAddr, length: usize) -> Vec<u8> {
    let mut header = Vec::new();
    for address in [from, to] {
        match address {
            IpAddr::V6(v6) => header.extend(v6.octets()),
            IpAddr::V4(v4) => panic!("{v4} has no pseudo-header in ICMP"),
        }
    }
    header.extend((length as u32).to_be_bytes());
    header.extend([0, 0, 0, 58]);
    header
}
