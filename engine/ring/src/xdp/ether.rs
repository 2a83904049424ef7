//! The Ethernet header: put before what leaves, taken off what came, with its VLAN tags (IEEE 802.1Q, 802.1ad).

use crate::packet::Layer;

/// Bytes of an Ethernet header without tags.
pub(super) const HEADER: usize = 14;
const TAG: usize = 4;
/// As many as the steering program looks behind.
const MAX_TAGS: usize = 2;

const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const CUSTOMER_TAG: [u8; 2] = [0x81, 0x00];
const SERVICE_TAG: [u8; 2] = [0x88, 0xa8];

/// The header of frames from `source` to `destination`.
pub(super) const fn header(destination: [u8; 6], source: [u8; 6], v6: bool) -> [u8; HEADER] {
    let ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]) = (destination, source);
    let [high, low] = if v6 { IPV6 } else { IPV4 };
    [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, high, low]
}

/// What a frame carries; `None` for anything but IP.
#[inline]
pub(super) fn strip(frame: &[u8]) -> Option<(Layer, &[u8])> {
    let mut at = HEADER - 2;
    for _ in 0..=MAX_TAGS {
        let kind = [*frame.get(at)?, *frame.get(at + 1)?];
        match kind {
            IPV4 => return Some((Layer::Ipv4, &frame[at + 2..])),
            IPV6 => return Some((Layer::Ipv6, &frame[at + 2..])),
            CUSTOMER_TAG | SERVICE_TAG => at += TAG,
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_on_comes_off_behind_up_to_two_tags() {
        for (v6, layer) in [(false, Layer::Ipv4), (true, Layer::Ipv6)] {
            let header = header([1; 6], [2; 6], v6);
            assert_eq!((&header[..6], &header[6..12]), (&[1; 6][..], &[2; 6][..]));
            let tags: [&[[u8; 2]]; 5] =
                [&[], &[CUSTOMER_TAG], &[SERVICE_TAG], &[SERVICE_TAG, CUSTOMER_TAG], &[CUSTOMER_TAG; 3]];
            for tags in tags {
                let mut frame = header[..12].to_vec();
                for tag in tags {
                    frame.extend([tag[0], tag[1], 0, 42]);
                }
                frame.extend(&header[12..]);
                let cut = frame.len();
                frame.extend([7, 8, 9]);
                let expected = (tags.len() <= MAX_TAGS).then_some((layer, &[7, 8, 9][..]));
                assert_eq!(strip(&frame), expected);
                for length in 0..cut {
                    assert_eq!(strip(&frame[..length]), None);
                }
            }
        }
        let arp = [&[0; 12][..], &[8, 6, 0, 0]].concat();
        assert_eq!(strip(&arp), None);
    }
}
