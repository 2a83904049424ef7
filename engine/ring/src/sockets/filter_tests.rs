//! The generated programs, run by a small classic BPF interpreter over every type, truncation and header
//! length.

use super::*;

const OURS: IdentifierMatch = IdentifierMatch { value: 0xab00, mask: 0xff00 };

/// Runs a program as the kernel would: bytes let through, zero for a rejection.
fn run(program: &[sock_filter], bytes: &[u8]) -> u32 {
    step_through(program, bytes).unwrap_or(0)
}

/// `None` where a load goes beyond the end.
fn step_through(program: &[sock_filter], bytes: &[u8]) -> Option<u32> {
    let byte = |at: usize| bytes.get(at).map(|&b| u32::from(b));
    let half = |at: usize| Some(byte(at)? << 8 | byte(at + 1)?);
    let (mut a, mut x, mut pc) = (0u32, 0u32, 0usize);
    loop {
        let sock_filter { code, jt, jf, k } = program[pc];
        pc += 1;
        let (absolute, indexed) = (k as usize, x as usize + k as usize);
        let mut jump = |condition: bool| pc += usize::from(if condition { jt } else { jf });
        match u32::from(code) {
            LOAD_BYTE => a = byte(absolute)?,
            LOAD_HALF => a = half(absolute)?,
            LOAD_BYTE_X => a = byte(indexed)?,
            LOAD_HALF_X => a = half(indexed)?,
            LOAD_IHL => x = (byte(absolute)? & 15) * 4,
            AND => a &= k,
            SHIFT_LEFT => a <<= k,
            ADD_X => a += x,
            TO_INDEX => x = a,
            EQUAL => jump(a == k),
            AT_LEAST => jump(a >= k),
            ANY_BIT => jump(a & k != 0),
            RETURN => return Some(k),
            other => panic!("instruction {other:#x} is not one the interpreter knows"),
        }
    }
}

fn ipv4_header(ihl: u8, protocol: u8) -> Vec<u8> {
    let mut header = vec![0; usize::from(ihl) * 4];
    header[0] = 0x40 | ihl;
    header[6] = 0x40;
    header[9] = protocol;
    header
}

fn icmp_header(icmp_type: u8, identifier: u16) -> Vec<u8> {
    let [high, low] = identifier.to_be_bytes();
    vec![icmp_type, 0, 0, 0, high, low, 0, 1]
}

fn ipv4_reply(ihl: u8, icmp_type: u8, identifier: u16) -> Vec<u8> {
    [ipv4_header(ihl, 1), icmp_header(icmp_type, identifier)].concat()
}

fn ipv4_error(outer: u8, icmp_type: u8, inner: u8, quoted_type: u8, identifier: u16) -> Vec<u8> {
    let error = icmp_header(icmp_type, 0);
    [ipv4_header(outer, 1), error, ipv4_header(inner, 1), icmp_header(quoted_type, identifier)].concat()
}

fn ipv6_error(icmp_type: u8, next_header: u8, quoted_type: u8, identifier: u16) -> Vec<u8> {
    let mut quoted = vec![0; 40];
    quoted[0] = 0x60;
    quoted[6] = next_header;
    [icmp_header(icmp_type, 0), quoted, icmp_header(quoted_type, identifier)].concat()
}

#[test]
fn ipv4_takes_replies_and_errors_of_ours_and_no_other_type() {
    let program = ipv4(OURS);
    for icmp_type in 0..=255 {
        for ihl in 5..=15 {
            let reply = run(&program, &ipv4_reply(ihl, icmp_type, 0xab12));
            assert_eq!(reply != 0, icmp_type == 0, "type {icmp_type} as a reply, header of {ihl} words");
            for inner in 5..=15 {
                let error = run(&program, &ipv4_error(ihl, icmp_type, inner, 8, 0xabff));
                let is_error = [3, 11, 12].contains(&icmp_type);
                assert_eq!(error != 0, is_error, "type {icmp_type} as an error, {ihl} and {inner} words");
            }
        }
    }
}

#[test]
fn ipv4_refuses_foreign_identifiers_and_foreign_quotes() {
    let program = ipv4(OURS);
    for identifier in 0..=u16::MAX {
        let ours = identifier >> 8 == 0xab;
        assert_eq!(run(&program, &ipv4_reply(5, 0, identifier)) != 0, ours, "{identifier:#x}");
        assert_eq!(run(&program, &ipv4_error(5, 11, 5, 8, identifier)) != 0, ours, "{identifier:#x}");
    }
    for quoted_type in (0..=255).filter(|&t| t != 8) {
        assert_eq!(run(&program, &ipv4_error(5, 3, 5, quoted_type, 0xab01)), 0, "quotes type {quoted_type}");
    }
    for inner in 0..5 {
        let mut short = ipv4_error(5, 3, 5, 8, 0xab01);
        short[28] = 0x40 | inner;
        assert_eq!(run(&program, &short), 0, "a quoted header of {inner} words cannot be");
    }
    let mut udp = ipv4_error(5, 3, 5, 8, 0xab01);
    udp[28 + 9] = 17;
    assert_eq!(run(&program, &udp), 0, "quotes UDP");
    let mut fragment = ipv4_error(5, 3, 5, 8, 0xab01);
    fragment[28 + 7] = 1;
    assert_eq!(run(&program, &fragment), 0, "quotes a later fragment");
}

#[test]
fn ipv6_takes_replies_and_errors_of_ours_and_no_other_type() {
    let program = ipv6(OURS);
    for icmp_type in 0..=255 {
        let reply = run(&program, &icmp_header(icmp_type, 0xab12));
        assert_eq!(reply != 0, icmp_type == 129, "type {icmp_type} as a reply");
        let error = run(&program, &ipv6_error(icmp_type, 58, 128, 0xab12));
        assert_eq!(error != 0, (1..=4).contains(&icmp_type), "type {icmp_type} as an error");
        assert_eq!(run(&program, &ipv6_error(3, 58, icmp_type, 0xab12)) != 0, icmp_type == 128);
        assert_eq!(run(&program, &ipv6_error(3, icmp_type, 128, 0xab12)) != 0, icmp_type == 58);
    }
    for identifier in 0..=u16::MAX {
        let ours = identifier >> 8 == 0xab;
        assert_eq!(run(&program, &icmp_header(129, identifier)) != 0, ours, "{identifier:#x}");
        assert_eq!(run(&program, &ipv6_error(1, 58, 128, identifier)) != 0, ours, "{identifier:#x}");
    }
}

#[test]
fn a_message_cut_before_its_identifier_is_refused() {
    let (four, six) = (ipv4(OURS), ipv6(OURS));
    // The identifier ends six bytes into the (quoted) ICMP header.
    let cases = [
        (&four, ipv4_reply(7, 0, 0xab01), 28 + 6),
        (&four, ipv4_error(6, 11, 9, 8, 0xab01), 24 + 8 + 36 + 6),
        (&six, icmp_header(129, 0xab01), 6),
        (&six, ipv6_error(3, 58, 128, 0xab01), 8 + 40 + 6),
    ];
    for (program, message, enough) in cases {
        for len in 0..=message.len() {
            let accepted = run(program, &message[..len]) != 0;
            assert_eq!(accepted, len >= enough, "{len} bytes of {}", message.len());
        }
    }
}

#[test]
fn masks_decide_which_bits_count() {
    for (value, mask) in [(0, 0), (0x1234, 0xffff), (0x8000, 0x8000), (0x00ff, 0xff00)] {
        let ours = IdentifierMatch { value, mask };
        for identifier in [0u16, 0x1234, 0x1235, 0x8000, 0xffff] {
            let expected = identifier & mask == value & mask;
            assert_eq!(run(&ipv4(ours), &ipv4_reply(5, 0, identifier)) != 0, expected);
            assert_eq!(run(&ipv6(ours), &icmp_header(129, identifier)) != 0, expected);
        }
    }
}

#[test]
fn every_jump_stays_inside_its_program() {
    for program in [ipv4(OURS), ipv6(OURS)] {
        assert!(program.len() < 64);
        for (at, line) in program.iter().enumerate() {
            assert!(at + 1 + usize::from(line.jt.max(line.jf)) < program.len() || line.code == RETURN as u16);
        }
    }
}
