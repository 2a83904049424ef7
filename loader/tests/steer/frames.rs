//! Frames to run the steering program over, built by hand at the offsets of the RFCs. Checksums are left zero: the
//! program reads none, they are the engine's to judge.

pub const OURS: u16 = 0xab12;
pub const FOREIGN: u16 = 0xac12;
/// Of a frame without tags.
pub const ETHERNET: usize = 14;

pub const ERRORS_V4: [u8; 3] = [3, 11, 12];
pub const ERRORS_V6: [u8; 4] = [1, 2, 3, 4];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ip {
    V4,
    V6,
}
use Ip::{V4, V6};

impl Ip {
    pub const BOTH: [Ip; 2] = [V4, V6];

    pub fn errors(self) -> &'static [u8] {
        if self == V4 { &ERRORS_V4 } else { &ERRORS_V6 }
    }

    pub fn reply(self) -> u8 {
        if self == V4 { 0 } else { 129 }
    }

    pub fn request(self) -> u8 {
        if self == V4 { 8 } else { 128 }
    }

    fn icmp(self) -> u8 {
        if self == V4 { 1 } else { 58 }
    }
}

/// A frame, and everything that a test wants to vary in it.
#[derive(Debug, Clone)]
pub struct Frame {
    pub ip: Ip,
    /// Tag protocol identifiers, outermost first.
    pub tags: Vec<u16>,
    /// IPv4 options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// IPv4 flags and fragment offset.
    pub fragment: u16,
    /// IPv6 extension headers: protocol number and bytes, whose first is overwritten to make a chain.
    pub headers: Vec<(u8, Vec<u8>)>,
    /// What the IP packet carries, behind the extension headers.
    pub protocol: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(ip: Ip, protocol: u8, payload: Vec<u8>) -> Frame {
        Frame { ip, tags: vec![], options: vec![], fragment: 0x4000, headers: vec![], protocol, payload }
    }

    /// An ICMP message.
    pub fn icmp(ip: Ip, icmp_type: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Frame {
        Frame::new(ip, ip.icmp(), [&[icmp_type, code, 0xbe, 0xef], &rest[..], body].concat())
    }

    /// An echo message of the type.
    pub fn echo(ip: Ip, icmp_type: u8, identifier: u16) -> Frame {
        let [high, low] = identifier.to_be_bytes();
        Frame::icmp(ip, icmp_type, 0, [high, low, 0, 7], &[0x5a; 24])
    }

    pub fn reply(ip: Ip, identifier: u16) -> Frame {
        Frame::echo(ip, ip.reply(), identifier)
    }

    /// An error that quotes this packet.
    pub fn error(ip: Ip, icmp_type: u8, quote: &[u8]) -> Frame {
        Frame::icmp(ip, icmp_type, 1, [0; 4], quote)
    }

    pub fn tags(mut self, tags: &[u16]) -> Frame {
        self.tags = tags.to_vec();
        self
    }

    pub fn options(mut self, bytes: usize) -> Frame {
        self.options = vec![1; bytes];
        self
    }

    pub fn headers(mut self, headers: &[(u8, Vec<u8>)]) -> Frame {
        self.headers = headers.to_vec();
        self
    }

    pub fn fragment(mut self, flags_and_offset: u16) -> Frame {
        self.fragment = flags_and_offset;
        self
    }

    /// From the IP header on.
    pub fn packet(&self) -> Vec<u8> {
        match self.ip {
            V4 => {
                let header = 20 + self.options.len();
                let length = (header + self.payload.len()) as u16;
                let mut packet = vec![0x40 | (header / 4) as u8, 0];
                packet.extend(length.to_be_bytes());
                packet.extend([0, 1]);
                packet.extend(self.fragment.to_be_bytes());
                packet.extend([64, self.protocol, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2]);
                [packet, self.options.clone(), self.payload.clone()].concat()
            }
            V6 => {
                let mut chain: Vec<u8> = Vec::new();
                for (i, (_, bytes)) in self.headers.iter().enumerate() {
                    let next = self.headers.get(i + 1).map_or(self.protocol, |(protocol, _)| *protocol);
                    chain.push(next);
                    chain.extend(&bytes[1..]);
                }
                let first = self.headers.first().map_or(self.protocol, |(protocol, _)| *protocol);
                let length = (chain.len() + self.payload.len()) as u16;
                let mut packet = vec![0x60, 0, 0, 0];
                packet.extend(length.to_be_bytes());
                packet.extend([first, 64]);
                packet.extend([0xfd; 16]);
                packet.extend([0xfe; 16]);
                [packet, chain, self.payload.clone()].concat()
            }
        }
    }

    /// From the Ethernet header on.
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 0xa, 2, 0, 0, 0, 0, 0xb];
        for tag in &self.tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 42]);
        }
        frame.extend(if self.ip == V4 { [0x08, 0x00] } else { [0x86, 0xdd] });
        frame.extend(self.packet());
        frame
    }
}

/// An echo request, as an error quotes it.
pub fn request(ip: Ip, identifier: u16) -> Vec<u8> {
    Frame::echo(ip, ip.request(), identifier).packet()
}

/// What RFC 792 guarantees of it: the IP header and eight bytes.
pub fn request_cut(ip: Ip, identifier: u16) -> Vec<u8> {
    request(ip, identifier)[..if ip == V4 { 28 } else { 48 }].to_vec()
}

/// An extension header of `units` beyond its shortest form.
pub fn extension(protocol: u8, units: u8) -> (u8, Vec<u8>) {
    let length = match protocol {
        44 => 8,
        51 => 4 * (2 + usize::from(units)),
        _ => 8 * (1 + usize::from(units)),
    };
    let mut bytes = vec![0; length];
    bytes[1] = units;
    (protocol, bytes)
}

/// A fragment header: the offset in bytes, and whether more follow.
pub fn fragment_header(offset: u16, more: bool) -> (u8, Vec<u8>) {
    let [high, low] = (offset | u16::from(more)).to_be_bytes();
    (44, vec![0, 0, high, low, 0, 0, 0, 9])
}

/// One of every kind of frame that the program must hand to a socket.
pub fn accepted() -> Vec<Frame> {
    let mut frames = Vec::new();
    for ip in Ip::BOTH {
        let mut plain = vec![Frame::reply(ip, OURS)];
        for icmp_type in ip.errors() {
            plain.push(Frame::error(ip, *icmp_type, &request(ip, OURS)));
            plain.push(Frame::error(ip, *icmp_type, &request_cut(ip, OURS)));
        }
        for frame in plain {
            let dressed = match ip {
                V4 => frame.clone().options(12),
                V6 => frame.clone().headers(&[extension(0, 1), extension(51, 4), fragment_header(0, true)]),
            };
            if ip == V6 {
                frames.push(frame.clone().headers(&[extension(60, 2)]));
            }
            for frame in [frame, dressed] {
                frames.push(frame.clone().tags(&[0x8100]));
                frames.push(frame.clone().tags(&[0x88a8, 0x8100]));
                frames.push(frame);
            }
        }
    }
    frames
}
