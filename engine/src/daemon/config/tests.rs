use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::command::EXAMPLE;
use super::*;

fn parsed(content: &str) -> Result<Loaded, String> {
    let remote = Remote { state: "nowhere".into(), key: None };
    parse(Path::new("dir/m.toml"), content, &remote).map_err(|error| error.to_string())
}

const SMALL: &str = r#"
[[tenant]]
name = "acme"

[[measurement]]
name = "web"
tenant = "acme"
targets = ["192.0.2.0/30", "2001:db8::1"]
"#;

#[test]
fn the_example_is_right_and_has_every_key() {
    let loaded = parsed(EXAMPLE).unwrap();
    assert_eq!((loaded.agenda.tenants.len(), loaded.agenda.measurements.len()), (2, 2));
    // With its comments taken off it has every key, and is right, too.
    let is_key = |line: &str| {
        line.starts_with("# [") || line.split_once(" = ").is_some_and(|(key, _)| !key[2..].contains(' '))
    };
    let bare: Vec<&str> = EXAMPLE
        .lines()
        .map(|line| if line.starts_with("# ") && is_key(line) { &line[2..] } else { line })
        .collect();
    let bare = bare.join("\n");
    let without_lists: Vec<&str> = bare.lines().filter(|line| !line.starts_with("files")).collect();
    let whole = parsed(&without_lists.join("\n")).unwrap();
    assert!(whole.options.upload.is_some() && whole.options.interface.is_some());
    let written: BTreeSet<&str> =
        bare.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key).collect();
    let known = ["node", "store", "control", "exclude", "tenant", "measurement"]
        .iter()
        .flat_map(|section| keys(section));
    let missing: Vec<String> =
        known.filter(|key| !written.contains(key.as_str()) && key != "clickhouse").collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_schema_has_every_key_with_its_meaning_and_no_others() {
    let schema = serde_json::to_value(schemars::schema_for!(super::file::File)).unwrap();
    let sections = schema["properties"].as_object().unwrap();
    assert_eq!(schema["additionalProperties"], false);
    for section in ["node", "store", "control", "exclude", "tenant", "measurement"] {
        let here = &sections[section];
        let path =
            here["$ref"].as_str().or(here["items"]["$ref"].as_str()).unwrap_or_else(|| panic!("{here}"));
        let of = schema.pointer(path.trim_start_matches('#')).unwrap();
        assert_eq!(of["additionalProperties"], false, "{section}");
        let described: BTreeSet<&str> =
            of["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let known = keys(section);
        assert_eq!(described, known.iter().map(String::as_str).collect(), "{section}");
        for (name, property) in of["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{section}.{name}: {property}");
        }
    }
    let of = |name: &str| schema.pointer(&format!("/$defs/Measurement/{name}")).unwrap().clone();
    assert_eq!(of("required"), serde_json::json!(["name", "tenant"]));
    assert_eq!(of("properties/targets/items/type"), "string");
}

/// The keys of a section, as the parser itself names them.
fn keys(section: &str) -> Vec<String> {
    let header = if matches!(section, "tenant" | "measurement") {
        format!("[[{section}]]")
    } else {
        format!("[{section}]")
    };
    let error = parsed(&format!("{header}\nno_such_key = 1")).unwrap_err();
    let offered = error.split("expected one of ").nth(1).or(error.split("expected ").nth(1)).expect("names");
    offered.split('`').skip(1).step_by(2).take_while(|name| *name != "?").map(str::to_owned).collect()
}

#[test]
fn defaults_are_filled_in() {
    let loaded = parsed(SMALL).unwrap();
    let measurement = &loaded.agenda.measurements[0];
    assert_eq!(measurement.targets.len(), 5);
    assert_eq!((measurement.interval_ns, measurement.class.timeout_ns), (1_000_000_000, 1_000_000_000));
    assert_eq!(
        (loaded.options.rate_pps, loaded.options.shards, loaded.addresses.len()),
        (Some(10_000), 1, 5)
    );
    assert_eq!(loaded.files, [Path::new("dir/m.toml")]);
    let stored = parsed(&format!("[store]\ndir = \"data\"\n{SMALL}")).unwrap();
    assert_eq!(stored.options.store.as_deref(), Some(Path::new("dir/data")), "from where the file is");
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_what_would_be_right() {
    for (change, expected) in [
        (("name = \"web\"", "nane = \"web\""), "dir/m.toml:6:1: unknown field `nane`"),
        (("name = \"web\"", "nane = \"web\""), "did you mean `name`?"),
        (("tenant = \"acme\"", "tenant = \"acmee\""), "dir/m.toml:7:10: there is no tenant \"acmee\""),
        (("\"2001:db8::1\"", "\"224.0.0.1\""), "dir/m.toml:8: '224.0.0.1'"),
        (("\"2001:db8::1\"]", "]\ninterval = \"1ms\""), "dir/m.toml:9:12: 1ms is no interval"),
        (("\"2001:db8::1\"]", "]\nsize = 3"), "dir/m.toml:9:8: "),
        (("\"2001:db8::1\"]", "]\ninterval = \"soon\""), "'soon' is not a time"),
        (
            ("name = \"acme\"", "name = \"acme\"\nmax_targets = 3"),
            "5 targets, and tenant \"acme\" has room for 3",
        ),
        (
            ("name = \"acme\"", "name = \"acme\"\ndeny = [\"192.0.2.2\"]"),
            "tenant \"acme\" may not probe 192.0.2.2",
        ),
        (("name = \"acme\"", "name = \"acme\"\nallow = [\"192.0.2.0/24\"]"), "may not probe 2001:db8::1"),
        (("name = \"acme\"", "name = \"../acme\""), "\"../acme\" is no name"),
        (("name = \"acme\"", "name = \"acme\"\nweight = 0"), "dir/m.toml:4:10: 0 is no weight"),
        (("[[tenant]]", "[node]\nbackend = \"dpdk\"\n[[tenant]]"), "\"dpdk\" is none of auto"),
        (("[[tenant]]", "[node]\nmax_pps = \"fast\"\n[[tenant]]"), "dir/m.toml:3:11: "),
        (("targets = [\"192.0.2.0/30\", \"2001:db8::1\"]", ""), "nothing to measure"),
    ] {
        let content = SMALL.replacen(change.0, change.1, 1);
        assert_ne!(content, SMALL, "{change:?}");
        let message = parsed(&content).expect_err(&content);
        assert!(message.contains(expected), "{message:?} has no {expected:?}");
    }
    let two = parsed(&format!("{SMALL}{}", SMALL.replace("\"web\"", "\"-/\""))).unwrap_err();
    assert_eq!(two.lines().count(), 2, "all at once: {two}");
}

#[test]
fn who_opted_out_is_left_out_and_stops_nobody() {
    let loaded = parsed(&format!("[exclude]\ntargets = [\"192.0.2.1\"]\n{SMALL}")).unwrap();
    assert_eq!(loaded.agenda.measurements[0].targets.len(), 4);
    let loaded =
        parsed(&format!("[exclude]\ntargets = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n{SMALL}")).unwrap();
    assert!(loaded.agenda.measurements[0].targets.is_empty());
    assert_eq!(loaded.notes, ["acme/web: every target is excluded, so nothing is measured"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever is written, it is read or refused.
    #[test]
    fn no_text_panics(at in 0..EXAMPLE.len(), cut in 0usize..40, put in "[\\PC\n\"=\\[\\]]{0,12}") {
        let end = (at + cut).min(EXAMPLE.len());
        if EXAMPLE.is_char_boundary(at) && EXAMPLE.is_char_boundary(end) {
            let mutated = format!("{}{put}{}", &EXAMPLE[..at], &EXAMPLE[end..]);
            // Names would be looked up.
            if let Err(message) = parsed(&mutated.replace("targets", "exclude")) {
                prop_assert!(!message.is_empty());
            }
        }
    }
}
