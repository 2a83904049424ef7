//! ICMP and ICMPv6 messages by name: one word each, the same in every output, and the same for both families
//! where they mean the same.

/// The name of a message (RFC 792, 1122, 1256, 1812; RFC 4443, 4861, 2710, 3810, 6550, 7112).
#[must_use]
pub const fn message_name(is_v4: bool, message_type: u8, code: u8) -> &'static str {
    if is_v4 { v4(message_type, code) } else { v6(message_type, code) }
}

const fn v4(message_type: u8, code: u8) -> &'static str {
    match (message_type, code) {
        (0, _) => "echo_reply",
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
        (8, _) => "echo_request",
        (9, _) => "router_advertisement",
        (10, _) => "router_solicitation",
        (11, 1) => "reassembly_time_exceeded",
        (11, _) => "time_exceeded",
        (12, _) => "parameter_problem",
        (13, _) => "timestamp_request",
        (14, _) => "timestamp_reply",
        _ => "other",
    }
}

const fn v6(message_type: u8, code: u8) -> &'static str {
    match (message_type, code) {
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
        (3, 1) => "reassembly_time_exceeded",
        (3, _) => "time_exceeded",
        (4, _) => "parameter_problem",
        (128, _) => "echo_request",
        (129, _) => "echo_reply",
        (130, _) => "listener_query",
        (131 | 143, _) => "listener_report",
        (132, _) => "listener_done",
        (133, _) => "router_solicitation",
        (134, _) => "router_advertisement",
        (135, _) => "neighbor_solicitation",
        (136, _) => "neighbor_advertisement",
        (137, _) => "redirect",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_share_names_not_numbers() {
        assert_eq!(message_name(true, 11, 0), message_name(false, 3, 0));
        assert_eq!(message_name(true, 3, 1), message_name(false, 1, 3));
        assert_eq!(message_name(true, 3, 13), message_name(false, 1, 1));
        assert_eq!(message_name(true, 5, 1), message_name(false, 137, 0));
        assert_eq!(message_name(true, 3, 200), "destination_unreachable");
        for number in 0..=255 {
            for name in [message_name(true, number, number), message_name(false, number, number)] {
                assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            }
        }
    }
}
