//! The values of single flags. Errors say what would be right; `clap` puts the flag before them.

use std::net::IpAddr;
use std::path::Path;

use megaping_probe::HEADER_LEN;
use megaping_store::place::{NotAPlace, PlaceUrl};
use thiserror::Error;

use super::args::ArchiveFormat;
use crate::duration::{self, DurationError, SECOND_NS, Scaled};

/// Largest payload in bytes: an IPv4 packet holds 65,507, options and tunnels want a little of it.
pub const MAX_SIZE: u16 = 65_000;

/// Largest pattern in bytes.
pub const MAX_PATTERN_LEN: usize = 64;

/// Longest time to wait for an answer, in nanoseconds.
const MAX_TIMEOUT_NS: u64 = 60 * SECOND_NS;

/// Highest rate that can be asked for, in probes a second.
const MAX_RATE_PPS: u64 = 1_000_000_000;

/// Payload bytes behind the engine's own header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// Random per run.
    Random,
    /// All zero.
    Zero,
    /// These, repeated; 1 to [`MAX_PATTERN_LEN`] bytes.
    Pattern(Vec<u8>),
}

/// Why a value is refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ValueError {
    /// Not a span of time.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// A span of no length.
    #[error("the time has to be longer than zero")]
    ZeroTime,
    /// Rounds that would run into each other.
    #[error("at least 1ms: a round has to leave before the next one is due")]
    ShortInterval,
    /// A timeout beyond the bound.
    #[error("at most 60 s: an answer that late is lost")]
    LongTimeout,
    /// Not a whole number within bounds.
    #[error("a whole number from {min} to {max} is wanted")]
    NotInRange {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// Not a rate.
    #[error("a rate is a whole number of probes a second, 1 to 1000M, as in 500, 10k or 1.5M")]
    NotARate,
    /// Not a number of bytes.
    #[error(
        "bytes are wanted, {least} at least: a whole number, or one with k, M, G or T, as in 500M or 1.5G"
    )]
    NotBytes {
        /// The least, as one writes it.
        least: &'static str,
    },
    /// No room for the engine's header.
    #[error("at least {HEADER_LEN}: the engine's own header needs {HEADER_LEN} bytes of payload")]
    SmallSize,
    /// Not a DSCP.
    #[error("a DSCP is a number from 0 to 63, or a name: ef, va, le, cs0 to cs7, af11 to af43")]
    NotADscp,
    /// Not a kind of payload.
    #[error("a payload is random, zero, or pattern: and 1 to 64 bytes in hexadecimal, as in pattern:c0ffee")]
    NotAPayload,
    /// Not a name that an interface can have.
    #[error("an interface has a name of 1 to 15 characters without blanks or slashes, as in eth0")]
    NotAnInterface,
    /// Not a group of this machine.
    #[error("no group of this machine has that name: `getent group` lists them; a number will do")]
    NotAGroup,
    /// Not the address of one host.
    #[error("the address of one host is wanted, as in 192.0.2.7 or 2001:db8::7")]
    NotAHost,
    /// Not what a spool can become.
    #[error(
        "parquet, none, or the URL of a place is wanted: file:///DIRECTORY, s3://, gs:// or az://BUCKET/PREFIX"
    )]
    NotAnArchive,
    /// Not a place to read from.
    #[error(transparent)]
    Place(#[from] NotAPlace),
    /// Not a time.
    #[error(
        "a time is 2026-11-25, 2026-11-25T10:30, with an offset (Z, +01:00) or UTC without, or 2h for so long ago"
    )]
    NotATime,
    /// Not an address to send from.
    #[error("an address of this machine is wanted, as in 192.0.2.7 or 2001:db8::7")]
    NotASource,
}

pub(crate) fn number(text: &str, min: u64, max: u64) -> Result<u64, ValueError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(number) if digits && (min..=max).contains(&number) => Ok(number),
        _ => Err(ValueError::NotInRange { min, max }),
    }
}

pub(crate) fn count(text: &str) -> Result<u32, ValueError> {
    number(text, 1, u64::from(u32::MAX)).map(|count| count as u32)
}

pub(crate) fn ttl(text: &str) -> Result<u8, ValueError> {
    number(text, 1, 255).map(|ttl| ttl as u8)
}

pub(crate) fn burst(text: &str) -> Result<u32, ValueError> {
    number(text, 1, 256).map(|burst| burst as u32)
}

pub(crate) fn shards(text: &str) -> Result<u16, ValueError> {
    number(text, 1, 8).map(|shards| shards as u16)
}

pub(crate) fn top(text: &str) -> Result<usize, ValueError> {
    number(text, 1, 1 << 48).map(|top| top as usize)
}

/// Nanoseconds, at least one.
pub(crate) fn time(text: &str) -> Result<u64, ValueError> {
    match duration::parse_ns(text)? {
        0 => Err(ValueError::ZeroTime),
        ns => Ok(ns),
    }
}

pub(crate) fn timeout(text: &str) -> Result<u64, ValueError> {
    time(text).and_then(|ns| if ns > MAX_TIMEOUT_NS { Err(ValueError::LongTimeout) } else { Ok(ns) })
}

pub(crate) fn rate(text: &str) -> Result<u64, ValueError> {
    let (digits, unit) = duration::split_number(text);
    let unit = match unit {
        "" => 1,
        "k" | "K" => 1_000,
        "m" | "M" => 1_000_000,
        _ => return Err(ValueError::NotARate),
    };
    match duration::scaled(digits, unit) {
        Scaled::Value { floor: pps @ 1..=MAX_RATE_PPS, exact: true } => Ok(pps),
        _ => Err(ValueError::NotARate),
    }
}

/// Bytes a second, at least one.
pub(crate) fn bandwidth(text: &str) -> Result<u64, ValueError> {
    bytes(text).filter(|&bytes| bytes > 0).ok_or(ValueError::NotBytes { least: "1" })
}

/// Room on the disk: enough for segments of a useful size.
pub(crate) fn room(text: &str) -> Result<u64, ValueError> {
    bytes(text).filter(|&bytes| bytes >= 1_000_000).ok_or(ValueError::NotBytes { least: "1M" })
}

fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = duration::split_number(text);
    let unit = match unit {
        "" => 1,
        "k" | "K" => 1_000,
        "m" | "M" => 1_000_000,
        "g" | "G" => 1_000_000_000,
        "t" | "T" => 1_000_000_000_000,
        _ => return None,
    };
    match duration::scaled(digits, unit) {
        Scaled::Value { floor, exact: true } => Some(floor),
        _ => None,
    }
}

pub(crate) fn size(text: &str) -> Result<u16, ValueError> {
    match number(text, 0, u64::from(MAX_SIZE)) {
        Ok(size) if size < HEADER_LEN as u64 => Err(ValueError::SmallSize),
        Ok(size) => Ok(size as u16),
        Err(_) => Err(ValueError::NotInRange { min: HEADER_LEN as u64, max: u64::from(MAX_SIZE) }),
    }
}

/// A code point of six bits, by number or by name: class selectors (RFC 2474), assured forwarding (RFC 2597),
/// expedited forwarding (RFC 3246), voice-admit (RFC 5865), lower effort (RFC 8622).
pub(crate) fn dscp(text: &str) -> Result<u8, ValueError> {
    let name = text.to_ascii_lowercase();
    match (name.as_str(), name.as_bytes()) {
        ("ef", _) => Ok(46),
        ("va" | "voice-admit", _) => Ok(44),
        ("le", _) => Ok(1),
        (_, [b'c', b's', class @ b'0'..=b'7']) => Ok((class - b'0') * 8),
        (_, [b'a', b'f', class @ b'1'..=b'4', drop @ b'1'..=b'3']) => {
            Ok((class - b'0') * 8 + (drop - b'0') * 2)
        }
        _ => number(text, 0, 63).map(|dscp| dscp as u8).map_err(|_| ValueError::NotADscp),
    }
}

pub(crate) fn payload(text: &str) -> Result<Payload, ValueError> {
    let hex = match text {
        "random" => return Ok(Payload::Random),
        "zero" => return Ok(Payload::Zero),
        _ => text.strip_prefix("pattern:").ok_or(ValueError::NotAPayload)?.as_bytes(),
    };
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let byte = |pair: &[u8]| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = hex.chunks(2).map(byte).collect();
    let fits = |bytes: &Vec<u8>| (1..=MAX_PATTERN_LEN).contains(&bytes.len());
    bytes.filter(fits).map(Payload::Pattern).ok_or(ValueError::NotAPayload)
}

pub(crate) fn interface(text: &str) -> Result<String, ValueError> {
    // What the kernel takes (dev_valid_name), less the control characters that no message should print.
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
    let good = (1..=15).contains(&text.len()) && !matches!(text, "." | "..") && !text.contains(bad);
    if good { Ok(text.to_owned()) } else { Err(ValueError::NotAnInterface) }
}

pub(crate) fn source(text: &str) -> Result<IpAddr, ValueError> {
    let ip: IpAddr = text.parse().map_err(|_| ValueError::NotASource)?;
    let ip = ip.to_canonical();
    if ip.is_unspecified() || ip.is_multicast() { Err(ValueError::NotASource) } else { Ok(ip) }
}

pub(crate) fn archive(text: &str) -> Result<ArchiveFormat, ValueError> {
    match text {
        "parquet" => Ok(ArchiveFormat::Parquet),
        "none" => Ok(ArchiveFormat::None),
        _ => text.parse().map(ArchiveFormat::Elsewhere).map_err(|_| ValueError::NotAnArchive),
    }
}

/// A directory, or the URL of a place.
pub(crate) fn place(text: &str) -> Result<PlaceUrl, ValueError> {
    if text.contains("://") { Ok(text.parse()?) } else { Ok(PlaceUrl::of_dir(Path::new(text))) }
}

/// A moment in Unix nanoseconds.
pub(crate) fn moment(text: &str) -> Result<u64, ValueError> {
    let now_ns = jiff::Timestamp::now().as_nanosecond();
    let civil = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let ns = match (duration::parse_ns(text), text.parse::<jiff::Timestamp>()) {
        (Ok(ago_ns), _) => now_ns - i128::from(ago_ns),
        (_, Ok(time)) => time.as_nanosecond(),
        _ => civil().ok_or(ValueError::NotATime)?.timestamp().as_nanosecond(),
    };
    u64::try_from(ns).map_err(|_| ValueError::NotATime)
}

pub(crate) fn neighbour(text: &str) -> Result<IpAddr, ValueError> {
    source(text).map_err(|_| ValueError::NotAHost)
}

/// The number of a group, by name or number.
pub(crate) fn group(text: &str) -> Result<u32, ValueError> {
    let named = || uzers::get_group_by_name(text).map(|group| group.gid());
    text.parse().ok().or_else(named).ok_or(ValueError::NotAGroup)
}
