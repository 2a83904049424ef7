//! ICMPv6 messages with a wrong checksum, as the kernel counts them.
//!
//! `rawv6_rcv` files such a message under the drops of every socket that might have had it, though it was the
//! network that harmed it. The protocol's own count (`Icmp6InCsumErrors`, RFC 4293's statistics as Linux extends
//! them) tells those from what was dropped for want of room.
//!
//! System calls: `openat`, `read`, `close` on a file in `/proc`.

/// The count of this thread's network namespace; `None` where `/proc` does not tell.
pub(super) fn checksum_errors_v6() -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/thread-self/net/snmp6").ok()?)
}

fn parse(statistics: &str) -> Option<u64> {
    let line = statistics.lines().find_map(|line| line.strip_prefix("Icmp6InCsumErrors"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_among_the_others() {
        let text = "Icmp6InMsgs                     \t9\nIcmp6InErrors                   \t3\n\
                    Icmp6InCsumErrors               \t615\nIcmp6OutMsgs                    \t7\n";
        assert_eq!(parse(text), Some(615));
        assert_eq!(parse("Icmp6InMsgs 9\n"), None);
        assert_eq!(parse("Icmp6InCsumErrors many\n"), None);
    }

    #[test]
    fn this_machine_tells() {
        assert!(checksum_errors_v6().is_some(), "the kernel has IPv6 and /proc");
    }
}
