//! Reports on a path of which everything is known.

use serde_json::Value as Json;

use super::*;
use crate::mtr::field;
use crate::mtr::testing;

fn report(form: Form, model: &Model, letters: &str) -> String {
    let facts = Facts {
        source: "probe-7".into(),
        titles: (0..model.targets().len()).map(|n| format!("target-{n}.example")).collect(),
        started_unix_s: 1_795_571_997,
        rounds: 90,
        traffic_class: 184,
        payload_len: 36,
        backend: "raw",
        fields: field::parse(letters).unwrap(),
        naming: Naming::Name,
        mpls: true,
    };
    let mut out = Vec::new();
    write(&mut out, form, &facts, model, &Names::off()).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_table_is_mtrs() {
    let model = testing::model(1, 1, 90);
    let text = report(Form::Text { wide: false }, &model, field::USUAL);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "Start: 2026-11-25T01:59:57Z");
    // These two are mtr 0.95's own, but for names and numbers.
    assert_eq!(lines[1], "HOST: probe-7                     Loss%   Snt   Last   Avg  Best  Wrst StDev");
    assert_eq!(lines[2], "  1.|-- 10.0.0.1                   0.0%    90    1.2   2.2   0.5  15.7   3.5");
    assert!(
        text.contains(
            "\n  7.|-- ???                       100.0    90    0.0   0.0   0.0   0.0   0.0 silent\n"
        ),
        "{text}"
    );
    for said in [
        "    |  +-- [MPLS: Lbl 16001 TC 0 S 0 TTL 1]",
        "    |  `|-- 10.10.5.1 (67%)",
        "Loss begins at hop 6",
        "Hop 6 adds 18.3 ms",
        "Flow 0: the path changed in round 60 from hop 5 on: 10.10.5.1 -> 10.200.5.1",
        "limited 99.9%",
    ] {
        assert!(text.contains(said), "{said}:\n{text}");
    }
    assert!(lines.iter().all(|line| line.trim_end() == *line), "{text}");
}

#[test]
fn json_has_mtrs_keys_in_mtrs_order() {
    let model = testing::model(2, 2, 90);
    let text = report(Form::Json, &model, field::USUAL);
    let documents: Vec<Json> =
        serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(documents.len(), 2);
    let report = &documents[0]["report"];
    let head = &report["mtr"];
    assert_eq!((head["src"].as_str(), head["dst"].as_str()), (Some("probe-7"), Some("target-0.example")));
    assert_eq!(
        (head["tos"].as_u64(), head["tests"].as_u64(), head["psize"].as_str()),
        (Some(184), Some(90), Some("64"))
    );
    assert!(head["bitpattern"].is_string());
    let places: Vec<usize> = [
        "\"count\"",
        "\"host\"",
        "\"Loss%\"",
        "\"Snt\"",
        "\"Last\"",
        "\"Avg\"",
        "\"Best\"",
        "\"Wrst\"",
        "\"StDev\"",
    ]
    .iter()
    .map(|key| text.find(key).unwrap_or_else(|| panic!("no {key}")))
    .collect();
    assert!(places.is_sorted(), "{places:?}");
    let hubs = report["hubs"].as_array().unwrap();
    assert_eq!(hubs.len(), 9);
    assert_eq!((hubs[6]["host"].as_str(), hubs[6]["Loss%"].as_f64()), (Some("???"), Some(100.0)));
    assert_eq!((hubs[2]["verdict"].as_str(), hubs[6]["verdict"].as_str()), (Some("limited"), Some("silent")));
    assert_eq!(hubs[3]["responders"].as_array().map(Vec::len), Some(2));
    assert_eq!(hubs[4]["responders"][0]["labels"][1]["label"], 24_017);
    assert_eq!(hubs[7]["responders"][0]["marks"][0], "nat_source");
    assert_eq!(report["loss_begins"]["count"], 6);
    let flows = report["flows"].as_array().unwrap();
    assert_eq!(flows.len(), 2);
    assert_ne!(flows[0]["path_id"], flows[1]["path_id"]);
    assert_eq!(flows[0]["path"][6], Json::Null);
    assert_eq!((&flows[0]["changes"][0]["count"], &flows[0]["changes"][0]["round"]), (&5.into(), &60.into()));
}

#[test]
fn csv_has_a_line_a_hop_and_its_head_first() {
    let model = testing::model(2, 1, 10);
    let text = report(Form::Csv, &model, "LSA");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "Mtr_Version,Start_Time,Status,Host,Hop,Ip,Loss%,Snt,Avg");
    assert_eq!(lines.len(), 1 + 18);
    assert!(
        lines[1].starts_with("MEGAPING.")
            && lines[1].contains(",1795571997,OK,target-0.example,1,10.0.0.1,0.00,10,"),
        "{text}"
    );
    assert!(lines.iter().all(|line| line.split(',').count() == 9));
}

#[test]
fn without_a_round_there_is_still_a_report() {
    let model = testing::model(1, 1, 0);
    for form in [Form::Text { wide: true }, Form::Json, Form::Csv] {
        assert!(!report(form, &model, field::USUAL).is_empty());
    }
    assert!(report(Form::Text { wide: false }, &model, field::USUAL).contains("did not answer"));
}
