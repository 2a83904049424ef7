//! The classic BPF programs that keep foreign ICMP away from the raw sockets.
//!
//! A raw IPv4 socket's filter sees a message from its IP header on, a raw IPv6 socket's from its ICMPv6 header
//! on (Linux, Documentation/networking/filter.rst; `raw(7)`, RFC 3542 section 3). A load beyond the end of the
//! message ends the program with zero: what is too short is rejected without a test for it.
//!
//! This file is the only one of the crate that knows where ICMP keeps its identifier.

use libc::sock_filter;

/// The identifiers of the probes that are ours: those for which `identifier & mask == value & mask`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IdentifierMatch {
    /// The bits that ours have.
    pub value: u16,
    /// Which bits count; zero accepts every identifier.
    pub mask: u16,
}

/// Most bytes of a message that an accepting program lets through: all of it.
const WHOLE: u32 = u32::MAX;

/// Where a comparison leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// On to the next line.
    Next,
    /// To the line that bears this label.
    Label(&'static str),
    Accept,
    Reject,
}
use To::{Accept, Label, Next, Reject};

/// One line of a program before its jumps are known.
enum Line {
    /// Names the next instruction.
    Mark(&'static str),
    /// An instruction without a jump.
    Do(u32, u32),
    /// Compares the accumulator with a constant.
    If(u32, u32, To, To),
}
use Line::{Do, If, Mark};

const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
/// Relative to the index register.
const LOAD_BYTE_X: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_IND;
const LOAD_HALF_X: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
/// Index register = 4 * (low nibble of a byte): the length of an IPv4 header.
const LOAD_IHL: u32 = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const SHIFT_LEFT: u32 = libc::BPF_ALU | libc::BPF_LSH | libc::BPF_K;
const ADD_X: u32 = libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X;
const TO_INDEX: u32 = libc::BPF_MISC | libc::BPF_TAX;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// ICMP types that answer a probe, beside the echo reply: unreachable, source quench, redirect, time
/// exceeded, parameter problem (RFC 792).
pub(crate) const ICMP_ERRORS: [u8; 3] = [3, 11, 12];
/// ICMPv6 types likewise: unreachable, too big, time exceeded, parameter problem (RFC 4443 section 2.1).
pub(crate) const ICMPV6_ERRORS: [u8; 4] = [1, 2, 3, 4];
pub(crate) const ICMP_ECHO_REPLY: u8 = 0;
pub(crate) const ICMPV6_ECHO_REPLY: u8 = 129;

/// The program for a raw IPv4 socket: echo replies with our identifier, and errors that quote an echo request
/// with our identifier.
pub(crate) fn ipv4(ours: IdentifierMatch) -> Vec<sock_filter> {
    let mask = u32::from(ours.mask);
    let value = u32::from(ours.value & ours.mask);
    let mut lines =
        vec![Do(LOAD_IHL, 0), Do(LOAD_BYTE_X, 0), If(EQUAL, ICMP_ECHO_REPLY.into(), Label("reply"), Next)];
    for icmp_type in ICMP_ERRORS {
        lines.push(If(EQUAL, icmp_type.into(), Label("error"), Next));
    }
    lines.extend([
        Do(RETURN, 0),
        Mark("reply"),
        Do(LOAD_HALF_X, 4),
        Do(AND, mask),
        If(EQUAL, value, Accept, Reject),
        // An error: eight bytes of ICMP header, then the quoted packet (RFC 792), itself with options perhaps.
        Mark("error"),
        Do(LOAD_BYTE_X, 8 + 9),
        If(EQUAL, libc::IPPROTO_ICMP as u32, Next, Reject),
        // A later fragment has no ICMP header.
        Do(LOAD_HALF_X, 8 + 6),
        If(ANY_BIT, 0x1fff, Reject, Next),
        Do(LOAD_BYTE_X, 8),
        Do(AND, 0x0f),
        Do(SHIFT_LEFT, 2),
        If(AT_LEAST, 20, Next, Reject),
        Do(ADD_X, 0),
        Do(TO_INDEX, 0),
        Do(LOAD_BYTE_X, 8),
        If(EQUAL, 8, Next, Reject),
        Do(LOAD_HALF_X, 8 + 4),
        Do(AND, mask),
        If(EQUAL, value, Accept, Reject),
    ]);
    assemble(&lines)
}

/// The program for a raw IPv6 socket. Our own requests carry no extension headers, so the quoted ICMPv6
/// header begins right behind the quoted IPv6 header.
pub(crate) fn ipv6(ours: IdentifierMatch) -> Vec<sock_filter> {
    let mask = u32::from(ours.mask);
    let value = u32::from(ours.value & ours.mask);
    let mut lines = vec![Do(LOAD_BYTE, 0), If(EQUAL, ICMPV6_ECHO_REPLY.into(), Label("reply"), Next)];
    for icmp_type in ICMPV6_ERRORS {
        lines.push(If(EQUAL, icmp_type.into(), Label("error"), Next));
    }
    lines.extend([
        Do(RETURN, 0),
        Mark("reply"),
        Do(LOAD_HALF, 4),
        Do(AND, mask),
        If(EQUAL, value, Accept, Reject),
        Mark("error"),
        Do(LOAD_BYTE, 8 + 6),
        If(EQUAL, libc::IPPROTO_ICMPV6 as u32, Next, Reject),
        Do(LOAD_BYTE, 8 + 40),
        If(EQUAL, 128, Next, Reject),
        Do(LOAD_HALF, 8 + 40 + 4),
        Do(AND, mask),
        If(EQUAL, value, Accept, Reject),
    ]);
    assemble(&lines)
}

/// Resolves the jumps; the last two instructions are the verdicts. Distances fit a byte: no program here has
/// more than forty lines.
fn assemble(lines: &[Line]) -> Vec<sock_filter> {
    let count = lines.iter().filter(|line| !matches!(line, Mark(_))).count();
    let mut places = Vec::new();
    let mut place = 0;
    for line in lines {
        match line {
            Mark(name) => places.push((*name, place)),
            _ => place += 1,
        }
    }
    let (accept, reject) = (count, count + 1);
    let resolve = |to: To, next: usize| match to {
        Next => 0,
        Accept => accept - next,
        Reject => reject - next,
        Label(name) => places.iter().find(|(known, _)| *known == name).map_or(reject, |(_, at)| *at) - next,
    };
    let mut program = Vec::with_capacity(count + 2);
    for line in lines {
        let next = program.len() + 1;
        match *line {
            Mark(_) => {}
            Do(code, k) => program.push(instruction(code, 0, 0, k)),
            If(code, k, yes, no) => program.push(instruction(code, resolve(yes, next), resolve(no, next), k)),
        }
    }
    program.push(instruction(RETURN, 0, 0, WHOLE));
    program.push(instruction(RETURN, 0, 0, 0));
    program
}

fn instruction(code: u32, jt: usize, jf: usize, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: jt as u8, jf: jf as u8, k }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
