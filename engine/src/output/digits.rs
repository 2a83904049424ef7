//! Numbers and addresses as text, straight into a byte buffer: a row has a dozen of them.

use std::io::Write;

use megaping_wire::Addr;

/// `0` to `18446744073709551615`.
#[inline]
pub(crate) fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

/// Nanoseconds as a thousand times larger unit with three decimals, `1234567` as `1234.567`: microseconds.
#[inline]
pub(crate) fn thousandths(out: &mut Vec<u8>, thousandths: u64) {
    number(out, thousandths / 1000);
    let rest = (thousandths % 1000) as u16;
    out.extend_from_slice(&[
        b'.',
        b'0' + (rest / 100) as u8,
        b'0' + (rest / 10 % 10) as u8,
        b'0' + (rest % 10) as u8,
    ]);
}

/// An address in its usual form.
#[inline]
pub(crate) fn addr(out: &mut Vec<u8>, addr: &Addr) {
    if addr.is_v4() {
        let [a, b, c, d] = addr.v4_octets();
        number(out, a.into());
        for octet in [b, c, d] {
            out.push(b'.');
            number(out, octet.into());
        }
    } else {
        // Zero compression (RFC 5952) is the library's; writing to a Vec cannot fail.
        let _ = write!(out, "{}", addr.ip());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(render: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        render(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_read_as_the_library_writes_them() {
        for n in [0, 7, 10, 99, 100, 65_535, 1_000_000, u64::MAX] {
            assert_eq!(text(|out| number(out, n)), n.to_string());
            assert_eq!(text(|out| thousandths(out, n)), format!("{}.{:03}", n / 1000, n % 1000));
        }
    }

    #[test]
    fn addresses_read_as_the_library_writes_them() {
        for ip in ["192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::1", "fe80::1:0:0:1"] {
            let parsed = Addr::from(ip.parse::<std::net::IpAddr>().unwrap());
            assert_eq!(text(|out| addr(out, &parsed)), ip);
        }
    }
}
