//! Names of ICMP errors.

/// The name of an ICMP error (RFC 792, RFC 1812 section 5.2.7) or `ICMPv6` error (RFC 4443), by the family of
/// the probe's destination; `other` for a type that has none.
#[must_use]
pub const fn error_name(v4: bool, icmp_type: u8, code: u8) -> &'static str {
    match (v4, icmp_type, code) {
        (true, 3, 0) => "net_unreachable",
        (true, 3, 1) => "host_unreachable",
        (true, 3, 2) => "protocol_unreachable",
        (true, 3, 3) | (false, 1, 4) => "port_unreachable",
        (true, 3, 4) => "fragmentation_needed",
        (true, 3, 9 | 10 | 13) | (false, 1, 1) => "prohibited",
        (false, 1, 0) => "no_route",
        (false, 1, 3) => "address_unreachable",
        (true, 3, _) | (false, 1, _) => "unreachable",
        (true, 4, _) => "source_quench",
        (true, 5, _) => "redirect",
        (true, 11, _) | (false, 3, _) => "time_exceeded",
        (true, 12, _) | (false, 4, _) => "parameter_problem",
        (false, 2, _) => "packet_too_big",
        _ => "other",
    }
}
