//! The room as a whole: items and lists in, a set out.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;

use megaping_wire::Addr;
use proptest::prelude::*;

use super::*;

fn build(items: &[&str], excludes: &[&str]) -> Result<TargetSet, TargetError> {
    let mut builder = TargetBuilder::new(None);
    for item in items {
        builder.add(item, &Place::command_line())?;
    }
    for item in excludes {
        builder.exclude(item, &Place::command_line())?;
    }
    builder.build_with(|name: &str| match name {
        "one" | "uno" => Ok(vec![IpAddr::from([10, 0, 0, 1])]),
        "hole" => Ok(vec![IpAddr::from([0, 0, 0, 0])]),
        _ => Err(std::io::Error::other("unknown")),
    })
}

fn members(set: &TargetSet) -> Vec<String> {
    (0..set.len()).map(|index| set.get(index).to_string()).collect()
}

fn message(items: &[&str], excludes: &[&str]) -> String {
    build(items, excludes).expect_err("must be refused").to_string()
}

#[test]
fn duplicates_are_probed_once_and_counted() {
    let set =
        build(&["10.0.0.2", "fd00::1", "10.0.0.0/30", "10.0.0.2-5", "fd00::1", "10.0.0.5"], &[]).unwrap();
    assert_eq!(
        members(&set),
        ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "fd00::1"]
    );
    assert_eq!((set.duplicates(), set.excluded()), (5, 0));
    assert!(set.has_v4() && set.has_v6());
}

#[test]
fn what_is_excluded_is_gone_whoever_named_it() {
    let set = build(&["10.0.0.0/29", "one", "192.0.2.1"], &["10.0.0.2-3", "10.0.0.6/31", "::/0"]);
    assert_eq!(
        set.unwrap_err().to_string(),
        "no target is left: all 9 addresses that were named are excluded"
    );
    let set =
        build(&["10.0.0.0/29", "192.0.2.1", "192.0.2.2"], &["10.0.0.2-3", "192.0.2.1", "fd00::/8"]).unwrap();
    assert_eq!(set.len(), 7);
    assert_eq!(set.excluded(), 3);
    assert!(set.has_v4() && !set.has_v6());
}

#[test]
fn names_stay_with_their_address() {
    let set = build(&["uno", "one", "10.0.0.2"], &[]).unwrap();
    assert_eq!(set.name(&set.get(0)), Some("uno"));
    assert_eq!(set.name(&set.get(1)), None);
    assert_eq!(set.duplicates(), 1);
}

#[test]
fn a_large_block_stays_two_numbers() {
    let set = build(&["10.0.0.0/8"], &[]).unwrap();
    assert_eq!(set.len(), 1 << 24);
    assert!(set.heap_bytes() + size_of::<TargetSet>() < 1024);
    assert_eq!(set.get(0x0001_0203).to_string(), "10.1.2.3");
    let whole = build(&["0.0.0.0/0"], &["0.0.0.0/8", "224.0.0.0/4", "255.255.255.255"]).unwrap();
    assert_eq!(whole.len(), (1 << 32) - (1 << 24) - (1 << 28) - 1);
    assert_eq!(whole.get(whole.len() - 1).to_string(), "255.255.255.254");
    let v6 = build(&["fd00::/80"], &[]).unwrap();
    assert_eq!(v6.len(), MAX_TARGETS);
    assert_eq!(v6.get(v6.len() - 1).to_string(), "fd00::ffff:ffff:ffff");
}

#[test]
fn many_small_blocks_are_not_expanded() {
    let mut builder = TargetBuilder::new(None);
    for n in 0..10_000_u32 {
        let [_, a, b, c] = (n * 512).to_be_bytes();
        builder.add(&format!("20.{a}.{b}.{c}/24"), &Place::command_line()).unwrap();
    }
    let set = builder.build().unwrap();
    assert_eq!(set.len(), 10_000 * 256);
    assert_eq!(set.heap_bytes(), 10_000 * size_of::<Range>());
    assert_eq!(set.get(256 * 7 + 9).to_string(), "20.0.14.9");
}

#[test]
fn what_cannot_be_a_target_is_refused() {
    for (items, excludes, words) in [
        (vec!["224.0.0.1"], vec![], "'224.0.0.1': this is IPv4 multicast, which cannot be pinged"),
        (vec!["ff02::1"], vec!["ff00::/8"], "IPv6 multicast"),
        (vec!["0.0.0.0"], vec![], "this network"),
        (vec!["::"], vec![], "the unspecified address"),
        (vec!["255.255.255.255"], vec![], "broadcast"),
        (vec!["hole"], vec![], "'hole (0.0.0.0)'"),
        (vec!["192.0.0.0/2"], vec![], "contain 224.0.0.0 to 239.255.255.255, IPv4 multicast"),
        (vec!["224.0.0.0/30"], vec![], "224.0.0.0/4 into an --exclude list"),
        (
            vec!["fd00::/64"],
            vec![],
            "fd00::/64 holds 2^64 addresses; at most 2^48 in a run: use /80 or longer",
        ),
        (vec!["fd00::-fd01::"], vec![], "holds up to 2^113 addresses"),
        (vec!["::/0"], vec![], "holds 2^128 addresses"),
        (vec!["fd00::/80", "fd01::/80"], vec![], "562949953421312 addresses together"),
        (vec!["one", "nowhere"], vec![], "'nowhere' cannot be resolved: unknown"),
        (vec!["10.0.0.1"], vec!["one"], "a host name cannot be excluded"),
        (vec![], vec!["10.0.0.1"], "no target"),
    ] {
        let message = message(&items, &excludes);
        assert!(message.contains(words), "{items:?}: {message}");
    }
}

#[test]
fn a_family_alone_refuses_the_other() {
    let mut builder = TargetBuilder::new(Some(Family::V4));
    builder.add("10.0.0.1", &Place::command_line()).unwrap();
    let error = builder.add("fd00::1", &Place::in_file("FILE", 3)).unwrap_err().to_string();
    let expected =
        "FILE:3: 'fd00::1': an IPv6 target, and -4 asks for IPv4 alone: leave out -4, or the target";
    assert_eq!(error, expected);
}

#[test]
fn files_are_read_and_the_wrong_line_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("good"), "10.0.0.0/30 # office\r\n\r\nfd00::1\r\n").unwrap();
    fs::write(path("not"), "10.0.0.3\n").unwrap();
    fs::write(path("bad"), format!("{}10.0.0.0/33\n", "# one\n".repeat(16))).unwrap();
    let request = TargetRequest {
        items: vec!["10.0.0.9".into()],
        files: vec![path("good")],
        excludes: vec![path("not")],
        family: None,
    };
    let set = load(&request).unwrap();
    assert_eq!(members(&set), ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.9", "fd00::1"]);

    let error = load(&TargetRequest { files: vec![path("bad")], ..request.clone() }).unwrap_err().to_string();
    let expected = format!(
        "{}:17: '10.0.0.0/33': prefix length 33 is longer than 32: write a number from 0 to 32",
        path("bad").display()
    );
    assert_eq!(error, expected);
    let twice = TargetRequest { files: vec!["-".into()], excludes: vec!["-".into()], ..request };
    assert!(matches!(load(&twice), Err(TargetError::StdinTwice)));
}

proptest! {
    /// Whatever mixture of singles, blocks and ranges is named: every member once, at one index.
    #[test]
    fn a_set_is_a_set(
        named in proptest::collection::vec((0_u32..4000, 0_u32..700), 1..12),
        holes in proptest::collection::vec((0_u32..4000, 0_u32..300), 0..6),
    ) {
        let base = 0x0a00_0000_u32;
        let text = |(first, more): &(u32, u32)| {
            let ip = |n: u32| Addr::v4((base + n).to_be_bytes());
            format!("{}-{}", ip(*first), ip(first + more))
        };
        let members = |spans: &[(u32, u32)]| -> BTreeSet<u32> {
            spans.iter().flat_map(|(first, more)| *first..=first + more).collect()
        };
        let expected = &members(&named) - &members(&holes);
        let items: Vec<String> = named.iter().map(text).collect();
        let excludes: Vec<String> = holes.iter().map(text).collect();
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let excludes: Vec<&str> = excludes.iter().map(String::as_str).collect();
        match build(&items, &excludes) {
            Err(TargetError::AllExcluded { .. }) => prop_assert!(expected.is_empty()),
            Err(error) => prop_assert!(false, "{}", error),
            Ok(set) => {
                let found: Vec<u32> = (0..set.len())
                    .map(|index| u32::from_be_bytes(set.get(index).v4_octets()) - base)
                    .collect();
                prop_assert_eq!(found.len(), expected.len());
                prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
            }
        }
    }

    /// No text whatsoever panics.
    #[test]
    fn any_text_is_answered(item in "\\PC{0,40}", shaped in "[0-9a-f:./%-]{0,30}") {
        for text in [item, shaped] {
            let mut builder = TargetBuilder::new(None);
            let _ = builder.add(&text, &Place::command_line());
            let _ = builder.exclude(&text, &Place::command_line());
            let _ = builder.build_with(|_: &str| Ok(Vec::new()));
        }
    }
}
