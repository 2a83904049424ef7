//! A packet as a line of text, in the manner of tcpdump.

use std::fmt;

use megaping_wire::protocol;

use crate::Sighting;

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time {
            Some(time) => write!(f, "{time}")?,
            None => f.write_str("-")?,
        }
        if let (Some(src), Some(dst)) = (self.src, self.dst) {
            write!(f, " {} {src} > {dst}:", if src.is_ipv4() { "IP" } else { "IP6" })?;
        }
        self.message(f)?;
        self.quote(f)?;
        if !self.vlan.is_empty() {
            let tags: Vec<String> = self.vlan.iter().map(u16::to_string).collect();
            write!(f, ", vlan {}", tags.join("."))?;
        }
        for which in &self.bad_checksum {
            write!(f, " [bad {which} checksum]")?;
        }
        if let Some(reason) = &self.malformed {
            write!(f, " [malformed packet {}: {reason}]", self.packet)?;
        }
        if let Some(cut) = self.cut {
            write!(f, " [cut: {} of {} bytes captured]", cut.captured, cut.original)?;
        }
        Ok(())
    }
}

impl Sighting {
    fn message(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.protocol) {
            (Some(kind), _) => {
                let is_v6 = self.src.is_some_and(|src| src.is_ipv6());
                write!(f, " {} {}", if is_v6 { "ICMP6" } else { "ICMP" }, spaced(kind))?;
            }
            (None, Some(protocol)) => write!(f, " protocol {protocol}")?,
            (None, None) => {}
        }
        if let (Some("icmp"), Some(message_type), Some(code)) = (self.kind, self.message_type, self.code) {
            write!(f, " type {message_type} code {code}")?;
        }
        let fields = [
            ("id", self.id.map(u64::from)),
            ("seq", self.seq.map(u64::from)),
            ("mtu", self.mtu.map(u64::from)),
            ("length", self.length.map(|length| length as u64)),
            ("ttl", self.ttl.map(u64::from)),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                write!(f, ", {name} {value}")?;
            }
        }
        Ok(())
    }

    fn quote(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(quoted) = &self.quoted {
            write!(f, ", quotes {} > {}", quoted.src, quoted.dst)?;
            match (quoted.id, quoted.seq) {
                (Some(id), Some(seq)) => write!(f, " echo request id {id} seq {seq}")?,
                _ => write!(f, " {}", protocol_name(quoted.protocol))?,
            }
            write!(f, " ttl {}", quoted.ttl)?;
        }
        for (index, label) in self.mpls.iter().enumerate() {
            f.write_str(if index == 0 { ", mpls " } else { " / " })?;
            write!(f, "{} tc {} s {} ttl {}", label.label, label.tc, u8::from(label.bottom), label.ttl)?;
        }
        Ok(())
    }
}

fn spaced(word: &str) -> String {
    if word == "icmp" { "message".into() } else { word.replace('_', " ") }
}

fn protocol_name(number: u8) -> String {
    match number {
        protocol::TCP => "tcp".into(),
        protocol::UDP => "udp".into(),
        protocol::ICMP | protocol::ICMPV6 => "other icmp".into(),
        _ => format!("protocol {number}"),
    }
}
