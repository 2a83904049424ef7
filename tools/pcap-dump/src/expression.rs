//! Filters as tcpdump has them (pcap-filter(7)), compiled by libpcap and run here.

use megaping_capture::pcapng::Link;
use pcap::{BpfProgram, Capture, Linktype};

/// A compiled filter.
pub struct Expression {
    program: BpfProgram,
}

impl Expression {
    /// Compiles `text` for packets that begin with `link`.
    ///
    /// # Errors
    /// What libpcap has against it.
    pub fn new(text: &str, link: Link) -> Result<Expression, String> {
        let wrong = |error: pcap::Error| format!("'{text}' is no filter (pcap-filter(7)): {error}");
        // libpcap's own number for raw IP packets differs from that in files (pcap-linktype(7)).
        let number = match link {
            Link::Raw => Linktype(12),
            Link::Ethernet => Linktype::ETHERNET,
        };
        let dead = Capture::dead(number).map_err(wrong)?;
        Ok(Expression { program: dead.compile(text, true).map_err(wrong)? })
    }

    /// Whether a packet passes.
    pub fn wants(&mut self, bytes: &[u8]) -> bool {
        self.program.filter(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_libpcaps_and_their_faults_are_told() {
        let mut v4 = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        v4.extend([8, 0, 0, 0, 0, 1, 0, 2]);
        let wants = |text: &str| Expression::new(text, Link::Raw).unwrap().wants(&v4);
        assert!(wants("icmp and dst host 10.0.0.2") && wants("icmp[icmptype] = icmp-echo"));
        assert!(!wants("icmp6") && !wants("src net 192.0.2.0/24"));
        let framed = [&[0; 12][..], &[8, 0], &v4].concat();
        assert!(Expression::new("icmp", Link::Ethernet).unwrap().wants(&framed));
        assert!(Expression::new("icmp adn host", Link::Raw).is_err_and(|why| why.contains("syntax")));
    }
}
