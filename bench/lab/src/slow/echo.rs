//! Echo requests turned into replies, on the bytes of an IP packet (RFC 792, RFC 4443 section 4).

/// What a packet turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Echo {
    /// A request, turned into its reply in place; the number is a hash of what identifies the request.
    Reply {
        /// The family.
        v4: bool,
        /// A function of the destination, identifier, sequence and payload.
        hash: u64,
    },
    /// A request with a bad checksum.
    Malformed {
        /// The family.
        v4: bool,
    },
    /// Anything else.
    Other {
        /// The family; what is neither counts as IPv6.
        v4: bool,
    },
}

/// Turns a request into its reply, and cuts what follows it.
pub fn answer(packet: &mut Vec<u8>) -> Echo {
    match packet.first().map(|b| b >> 4) {
        Some(4) => answer_v4(packet).unwrap_or(Echo::Other { v4: true }),
        _ => answer_v6(packet).unwrap_or(Echo::Other { v4: false }),
    }
}

fn answer_v4(packet: &mut Vec<u8>) -> Option<Echo> {
    let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    if total < 28 || total > packet.len() {
        return None;
    }
    packet.truncate(total);
    let (ip, icmp) = packet.split_at_mut(20);
    let fragment = u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff;
    if ip[0] != 0x45 || ip[9] != 1 || fragment != 0 || icmp[..2] != [8, 0] || ip[16] >> 4 == 0xe {
        return None;
    }
    if checksum(&[ip]) != 0 || checksum(&[icmp]) != 0 {
        return Some(Echo::Malformed { v4: true });
    }
    let hash = hash(&ip[16..20], &icmp[4..]);
    let (source, destination) = ip[12..].split_at_mut(4);
    source.swap_with_slice(destination);
    ip[8] = 64;
    set_checksum(ip, 10, &[]);
    icmp[0] = 0;
    set_checksum(icmp, 2, &[]);
    Some(Echo::Reply { v4: true, hash })
}

fn answer_v6(packet: &mut Vec<u8>) -> Option<Echo> {
    let length = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
    if length < 8 || length + 40 > packet.len() {
        return None;
    }
    packet.truncate(length + 40);
    let (ip, icmp) = packet.split_at_mut(40);
    if ip[0] >> 4 != 6 || ip[6] != 58 || icmp[..2] != [128, 0] || ip[24] == 0xff {
        return None;
    }
    // RFC 8200 section 8.1; swapping the addresses leaves its sum as it is.
    let pseudo = [&ip[8..40], &[0, 0, ip[4], ip[5], 0, 0, 0, 58]].concat();
    if checksum(&[&pseudo, icmp]) != 0 {
        return Some(Echo::Malformed { v4: false });
    }
    let hash = hash(&ip[24..40], &icmp[4..]);
    let (source, destination) = ip[8..].split_at_mut(16);
    source.swap_with_slice(destination);
    ip[7] = 64;
    icmp[0] = 129;
    set_checksum(icmp, 2, &pseudo);
    Some(Echo::Reply { v4: false, hash })
}

fn set_checksum(bytes: &mut [u8], at: usize, pseudo: &[u8]) {
    bytes[at..at + 2].fill(0);
    let check = checksum(&[pseudo, bytes]);
    bytes[at..at + 2].copy_from_slice(&check.to_be_bytes());
}

/// RFC 1071 over the parts in turn, each but the last of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// FNV-1a over the destination and the first 64 bytes from the identifier on, finished by [`mix`].
fn hash(destination: &[u8], rest: &[u8]) -> u64 {
    let bytes = destination.iter().chain(rest.iter().take(64));
    mix(bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)))
}

/// The finaliser of splitmix64.
pub fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10.0.0.1 to 100.64.0.9, identifier 1, sequence 2, five bytes.
    fn request_v4() -> Vec<u8> {
        let mut p = vec![0x45, 0, 0, 33, 0, 0, 0x40, 0, 9, 1, 0, 0, 10, 0, 0, 1, 100, 64, 0, 9];
        p.extend([8, 0, 0, 0, 0, 1, 0, 2, 1, 2, 3, 4, 5]);
        let (ip, icmp) = p.split_at_mut(20);
        set_checksum(ip, 10, &[]);
        set_checksum(icmp, 2, &[]);
        p
    }

    fn request_v6() -> Vec<u8> {
        let mut p = vec![0x60, 0, 0, 0, 0, 13, 58, 9];
        p.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        p.extend([0xfd, 0x64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        p.extend([128, 0, 0, 0, 0, 1, 0, 2, 1, 2, 3, 4, 5]);
        let pseudo = [&p[8..40], &[0, 0, 0, 13, 0, 0, 0, 58]].concat();
        set_checksum(&mut p[40..], 2, &pseudo);
        p
    }

    #[test]
    fn requests_become_replies_with_good_checksums() {
        let mut v4 = request_v4();
        assert!(matches!(answer(&mut v4), Echo::Reply { v4: true, .. }));
        assert_eq!((v4[8], v4[20], &v4[12..20]), (64, 0, &[100, 64, 0, 9, 10, 0, 0, 1][..]));
        assert_eq!((checksum(&[&v4[..20]]), checksum(&[&v4[20..]])), (0, 0));
        let mut v6 = request_v6();
        assert!(matches!(answer(&mut v6), Echo::Reply { v4: false, .. }));
        assert_eq!((v6[7], v6[40], v6[23], v6[39]), (64, 129, 9, 1));
        assert_eq!(checksum(&[&v6[8..40], &[0, 0, 0, 13, 0, 0, 0, 58], &v6[40..]]), 0);
    }

    #[test]
    fn no_truncation_and_no_changed_byte_panics_or_is_answered_wrongly() {
        for request in [request_v4(), request_v6()] {
            for length in 0..request.len() {
                assert!(matches!(answer(&mut request[..length].to_vec()), Echo::Other { .. }), "{length}");
            }
            let icmp = if request[0] == 0x45 { 20 } else { 40 };
            for at in 0..request.len() {
                let mut spoiled = request.clone();
                spoiled[at] ^= 0x11;
                let echo = answer(&mut spoiled);
                assert!(at < icmp || !matches!(echo, Echo::Reply { .. }), "byte {at}: {echo:?}");
            }
        }
    }

    #[test]
    fn another_sequence_is_another_hash() {
        let mut other = request_v4();
        other[27] = 3;
        let (ip, icmp) = other.split_at_mut(20);
        set_checksum(ip, 10, &[]);
        set_checksum(icmp, 2, &[]);
        assert_ne!(answer(&mut other), answer(&mut request_v4()));
    }
}
