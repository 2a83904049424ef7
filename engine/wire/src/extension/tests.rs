use super::*;
use crate::checksum::checksum;

/// A structure of these objects; with a checksum, or with zero in its place.
fn structure(objects: &[(u16, u8, u8, &[u8])], with_checksum: bool) -> Vec<u8> {
    let mut bytes = vec![0x20, 0, 0, 0];
    for (length, class, c_type, data) in objects {
        bytes.extend(length.to_be_bytes());
        bytes.extend([*class, *c_type]);
        bytes.extend(*data);
    }
    if with_checksum {
        let check = checksum(&bytes);
        bytes[2..4].copy_from_slice(&check.to_be_bytes());
    }
    bytes
}

const STACK: &[u8] = &[0x05, 0xdc, 0x16, 0x01, 0xff, 0xff, 0xff, 0xfe];

fn mpls(with_checksum: bool) -> Vec<u8> {
    structure(&[(8, 2, 9, &[1, 2, 3, 4]), (12, 1, 1, STACK)], with_checksum)
}

#[test]
fn objects_and_labels_are_read() {
    let bytes = mpls(true);
    let structure = Structure::new_checked(&bytes).unwrap();
    let objects: Vec<_> = structure.objects().collect();
    let first = Object { class: 2, c_type: 9, data: &[1, 2, 3, 4] };
    assert_eq!(objects, [Ok(first), Ok(Object { class: 1, c_type: 1, data: STACK })]);
    assert!(first.mpls().is_none());
    let labels: Vec<_> = structure.mpls().collect();
    let top = Label { label: 0x5dc1, traffic_class: 3, bottom: false, ttl: 1 };
    assert_eq!(labels, [top, Label { label: 0xf_ffff, traffic_class: 7, bottom: true, ttl: 254 }]);
}

#[test]
fn version_and_checksum_are_checked() {
    let good = mpls(true);
    for length in 0..HEADER_LEN {
        assert_eq!(Structure::new_checked(&good[..length]), Err(Error::Truncated));
    }
    for at in 1..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        assert_eq!(Structure::new_checked(&bytes), Err(Error::Checksum), "byte {at}");
    }
    let mut other_version = good;
    other_version[0] = 0x10;
    assert_eq!(Structure::new_checked(&other_version), Err(Error::Malformed));
    assert!(Structure::new_checked(&mpls(false)).is_ok());
}

#[test]
fn lying_lengths_end_the_walk() {
    for (length, error) in [
        (0, Error::Malformed),
        (3, Error::Malformed),
        (7, Error::Malformed),
        (12, Error::Truncated),
        (0xfffc, Error::Truncated),
        (0xffff, Error::Malformed),
    ] {
        let bytes = structure(&[(8, 2, 9, &[1, 2, 3, 4]), (length, 1, 1, &[0; 4])], true);
        let mut objects = Structure::new_checked(&bytes).unwrap().objects();
        assert!(objects.next().unwrap().is_ok());
        assert_eq!(objects.next(), Some(Err(error)), "length {length}");
        assert_eq!(objects.next(), None);
        assert_eq!(Structure::new_checked(&bytes).unwrap().mpls().count(), 0);
    }
    let torn = structure(&[(4, 7, 7, &[0, 0, 0])], true);
    let items: Vec<_> = Structure::new_checked(&torn).unwrap().objects().collect();
    assert_eq!(items, [Ok(Object { class: 7, c_type: 7, data: &[] }), Err(Error::Truncated)]);
}

#[test]
fn a_label_is_its_32_bits() {
    for bits in [0, 1, 0x100, 0xe00, 0x1000, 0xffff_f000, 0x1234_5678, u32::MAX] {
        assert_eq!(Label::from_bits(bits).to_bits(), bits);
    }
}

#[test]
fn the_length_attribute_says_where_to_split() {
    for quote_len in [32, 128, 136, 256] {
        for with_checksum in [true, false] {
            let body = [vec![0xaa; quote_len], mpls(with_checksum)].concat();
            let (quote, extension) = split(&body, quote_len);
            assert_eq!((quote.len(), extension), (quote_len, &mpls(with_checksum)[..]));
        }
    }
}

#[test]
fn an_attribute_that_misleads_costs_no_quote() {
    let body = [vec![0xaa; 128], mpls(true)].concat();
    for quote_len in [4, 124, 132, 144, 148, 152, 1020, 2040] {
        let (quote, extension) = split(&body, quote_len);
        assert_eq!((quote.len(), extension.len()), (body.len(), 0), "attribute {quote_len}");
    }
}

#[test]
fn old_senders_put_it_behind_128_bytes() {
    for with_checksum in [true, false] {
        let body = [vec![0xaa; 128], mpls(with_checksum)].concat();
        assert_eq!(split(&body, 0), (&body[..128], &mpls(with_checksum)[..]));
        for length in 0..132 {
            assert_eq!(split(&body[..length], 0), (&body[..length], &[][..]));
        }
    }
    let misplaced = [vec![0xaa; 124], mpls(true)].concat();
    assert_eq!(split(&misplaced, 0).1, []);
}

#[test]
fn a_long_quote_is_not_taken_for_an_extension() {
    // The payload of a long probe has at byte 128 what looks like version 2 without a checksum.
    let quote = [vec![0xaa; 128], vec![0x20, 0, 0, 0, 0xaa, 0xaa, 0xaa, 0xaa]].concat();
    for quote_len in [0, 128] {
        assert_eq!(split(&quote, quote_len), (&quote[..], &[][..]));
    }
    let bare = [vec![0xaa; 128], vec![0x20, 0, 0, 0]].concat();
    assert_eq!(split(&bare, 0), (&bare[..], &[][..]));
}
