//! One item as written: an address, a block, a range, or else a host name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use megaping_wire::Addr;

use super::error::ItemError;
use super::span::Span;

/// What an item names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Item<'a> {
    /// Addresses, often just one.
    Span(Span),
    /// A name, which is yet to be resolved.
    Host(&'a str),
}

/// Reads one item; neither its size nor whether it can be pinged is judged here.
pub(super) fn parse(item: &str) -> Result<Item<'_>, ItemError> {
    if let Ok(ip) = item.parse::<Ipv4Addr>() {
        return Ok(one(Addr::v4(ip.octets())));
    }
    if let Ok(ip) = item.parse::<Ipv6Addr>() {
        return Ok(one(Addr(ip.octets())));
    }
    if item.contains('%') {
        return Err(ItemError::Scope);
    }
    if item.contains(char::is_whitespace) {
        return Err(ItemError::OneALine);
    }
    if let Some((address, prefix)) = item.split_once('/') {
        return block(address, prefix).map(Item::Span);
    }
    if let Some((first, last)) = item.split_once('-')
        && let Ok(first) = first.parse::<IpAddr>()
    {
        return range(first, last).map(Item::Span);
    }
    if item.contains(':') {
        return Err(ItemError::NotIpv6);
    }
    if is_host_name(item) {
        return Ok(Item::Host(item));
    }
    let digits = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    Err(if !item.is_empty() && item.bytes().all(digits) { ItemError::NotIpv4 } else { ItemError::Unknown })
}

fn one(addr: Addr) -> Item<'static> {
    Item::Span(Span { first: addr.to_bits(), last: addr.to_bits() })
}

/// A CIDR block (RFC 4632, RFC 4291 section 2.3); bits behind the prefix are ignored.
fn block(address: &str, prefix: &str) -> Result<Span, ItemError> {
    let Ok(ip) = address.parse::<IpAddr>() else {
        return Err(match address {
            _ if address.contains(':') => ItemError::NotIpv6,
            _ if address.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => ItemError::NotIpv4,
            _ => ItemError::BlockWithoutAddress { text: address.to_owned() },
        });
    };
    let max = if ip.is_ipv4() { 32 } else { 128 };
    let digits = !prefix.is_empty() && prefix.len() <= 3 && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let len = match prefix.parse::<u32>() {
        Ok(len) if digits => len,
        _ => return Err(ItemError::PrefixNotANumber { text: prefix.to_owned(), max }),
    };
    if len > max {
        return Err(ItemError::PrefixTooLong { len, max });
    }
    let host = u128::MAX.checked_shr(128 - (max - len)).unwrap_or(0);
    let bits = Addr::from(ip).to_bits();
    Ok(Span { first: bits & !host, last: bits | host })
}

/// A range: two addresses, or for IPv4 an address and its last octet's last value.
fn range(first: IpAddr, last: &str) -> Result<Span, ItemError> {
    let end = match (last.parse::<IpAddr>(), first) {
        (Ok(ip), _) => Addr::from(ip),
        (Err(_), IpAddr::V4(ip)) if last.bytes().all(|byte| byte.is_ascii_digit()) => {
            let octet = last.parse().map_err(|_| ItemError::RangeEnd { text: last.to_owned() })?;
            let [a, b, c, _] = ip.octets();
            Addr::v4([a, b, c, octet])
        }
        (Err(_), _) => return Err(ItemError::RangeEnd { text: last.to_owned() }),
    };
    let first = Addr::from(first);
    if first.is_v4() != end.is_v4() {
        return Err(ItemError::RangeFamilies);
    }
    if end < first {
        return Err(ItemError::RangeBackwards);
    }
    Ok(Span { first: first.to_bits(), last: end.to_bits() })
}

/// Letters, digits, hyphens and underscores in labels of at most 63 (RFC 1123 section 2.1; underscores as
/// they are found in the wild), the last of which has a letter: no top-level domain is a number.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    name.len() <= 253 && name.split('.').all(label) && last.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(item: &str) -> (String, String) {
        match parse(item) {
            Ok(Item::Span(span)) => {
                (Addr::from_bits(span.first).to_string(), Addr::from_bits(span.last).to_string())
            }
            other => panic!("{item}: {other:?}"),
        }
    }

    #[test]
    fn every_form_is_read() {
        for (item, first, last) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
            ("10.0.0.0/8", "10.0.0.0", "10.255.255.255"),
            ("10.1.2.3/8", "10.0.0.0", "10.255.255.255"),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
            ("192.0.2.1/32", "192.0.2.1", "192.0.2.1"),
            ("fd00::/120", "fd00::", "fd00::ff"),
            ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fd00::1/128", "fd00::1", "fd00::1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0", "10.255.255.255"),
            ("10.0.0.1-10.0.1.9", "10.0.0.1", "10.0.1.9"),
            ("10.0.0.1-99", "10.0.0.1", "10.0.0.99"),
            ("fd00::1-fd00::ff", "fd00::1", "fd00::ff"),
        ] {
            assert_eq!(ends(item), (first.to_owned(), last.to_owned()), "{item}");
        }
        for host in ["example.com", "my-host.example", "localhost", "10-20.example.com", "a_b.example", "x1."]
        {
            assert_eq!(parse(host), Ok(Item::Host(host)));
        }
    }

    #[test]
    fn every_mistake_is_named() {
        for (item, words) in [
            ("10.0.0.0/33", "prefix length 33 is longer than 32: write a number from 0 to 32"),
            ("fd00::/129", "prefix length 129 is longer than 128: write a number from 0 to 128"),
            ("10.0.0.0/x", "'x' is not a prefix length"),
            ("10.0.0.0/", "'' is not a prefix length"),
            ("10.0.0.0/+8", "'+8' is not a prefix length"),
            ("xyz/33", "'xyz' is not an address"),
            ("10.0.0/8", "not an IPv4 address"),
            ("10.0.0.256", "not an IPv4 address"),
            ("010.0.0.1", "not an IPv4 address"),
            ("12", "not an IPv4 address"),
            ("10.0.0-99", "not an IPv4 address"),
            ("fd00::g", "not an IPv6 address"),
            ("[fd00::1]", "not an IPv6 address"),
            ("10.0.0.1-256", "'256' is not the end of a range"),
            ("10.0.0.1-", "'' is not the end of a range"),
            ("fd00::1-ff", "'ff' is not the end of a range"),
            ("10.0.0.9-3", "ends before it begins"),
            ("10.0.0.9-fd00::1", "one address family"),
            ("fe80::1%eth0", "-I"),
            ("10.0.0.1 10.0.0.2", "more than one item"),
            ("-", "not an IPv4 address"),
            ("host name", "more than one item"),
            ("exa$mple", "neither an address"),
            ("a..b", "neither an address"),
            ("", "neither an address"),
        ] {
            let message = parse(item).expect_err(item).to_string();
            assert!(message.contains(words), "{item}: {message}");
        }
    }
}
