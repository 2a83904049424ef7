//! ICMP errors by name, the same for both families where they mean the same.

/// The name of an ICMP (RFC 792, 1122, 1812) or ICMPv6 (RFC 4443, 4861, 6550, 7112) error in every output.
#[must_use]
pub const fn error_name(is_v4: bool, icmp_type: u8, code: u8) -> &'static str {
    if is_v4 { v4_name(icmp_type, code) } else { v6_name(icmp_type, code) }
}

const fn v4_name(icmp_type: u8, code: u8) -> &'static str {
    match (icmp_type, code) {
        (3, 0) => "net_unreachable",
        (3, 1) => "host_unreachable",
        (3, 2) => "protocol_unreachable",
        (3, 3) => "port_unreachable",
        (3, 4) => "fragmentation_needed",
        (3, 5) => "source_route_failed",
        (3, 6) => "net_unknown",
        (3, 7) => "host_unknown",
        (3, 8) => "source_isolated",
        (3, 9) => "net_prohibited",
        (3, 10) => "host_prohibited",
        (3, 11) => "net_unreachable_for_tos",
        (3, 12) => "host_unreachable_for_tos",
        (3, 13) => "admin_prohibited",
        (3, 14) => "host_precedence_violation",
        (3, 15) => "precedence_cutoff",
        (3, _) => "destination_unreachable",
        (4, _) => "source_quench",
        (5, _) => "redirect",
        (11, 0) => "time_exceeded",
        (11, 1) => "reassembly_time_exceeded",
        (12, _) => "parameter_problem",
        _ => "other",
    }
}

const fn v6_name(icmp_type: u8, code: u8) -> &'static str {
    match (icmp_type, code) {
        (1, 0) => "net_unreachable",
        (1, 1) => "admin_prohibited",
        (1, 2) => "beyond_scope",
        (1, 3) => "host_unreachable",
        (1, 4) => "port_unreachable",
        (1, 5) => "source_policy_failed",
        (1, 6) => "route_rejected",
        (1, 7) => "source_route_failed",
        (1, 8) => "headers_too_long",
        (1, _) => "destination_unreachable",
        (2, _) => "packet_too_big",
        (3, 0) => "time_exceeded",
        (3, 1) => "reassembly_time_exceeded",
        (4, _) => "parameter_problem",
        (137, _) => "redirect",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_share_names_not_numbers() {
        assert_eq!(error_name(true, 11, 0), error_name(false, 3, 0));
        assert_eq!(error_name(true, 3, 1), error_name(false, 1, 3));
        assert_eq!(error_name(true, 3, 13), error_name(false, 1, 1));
        assert_eq!(error_name(true, 5, 1), error_name(false, 137, 0));
        assert_eq!(error_name(true, 3, 200), "destination_unreachable");
        for number in 0..=255 {
            for name in [error_name(true, number, number), error_name(false, number, number)] {
                assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            }
        }
    }
}
