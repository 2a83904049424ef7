//! Every form of every verdict.

use megaping_probe::{Marks, Nanos, StampSource, Unsent};

use super::*;

const OFFSET_NS: u64 = 1_767_323_045_000_000_000;

fn outcome(verdict: Verdict) -> Outcome {
    let answered = matches!(verdict, Verdict::Answered | Verdict::Error { .. });
    let target = Addr::v4([10, 0, 0, 1]);
    Outcome {
        at: Nanos(123_456_789),
        rtt_ns: if answered { 123_456 } else { 0 },
        target: 0,
        destination: target,
        responder: if matches!(verdict, Verdict::Error { .. }) { Addr::v4([192, 0, 2, 9]) } else { target },
        seq: 7,
        error_ns: 2_010,
        size: 32,
        flow: 0,
        verdict,
        hop_limit: 64,
        reply_hop_limit: if answered { 63 } else { 0 },
        stamp_source: StampSource::Kernel,
        marks: if verdict == Verdict::Lost { Marks::SELF_INFLICTED } else { Marks::default() },
    }
}

fn rows() -> Vec<Outcome> {
    let error = Verdict::Error { icmp_type: 3, code: 1 };
    let v6 = Outcome {
        destination: "2001:db8::1".parse::<std::net::IpAddr>().unwrap().into(),
        responder: "2001:db8::1".parse::<std::net::IpAddr>().unwrap().into(),
        ..outcome(Verdict::Answered)
    };
    let mut rows =
        [Verdict::Answered, error, Verdict::Lost, Verdict::Unsent(Unsent::NoRoute)].map(outcome).to_vec();
    rows.push(v6);
    rows
}

/// A pipe that nobody reads any more.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn print(format: OutputFormat) -> String {
    let mut printer = Printer::new(format, Vec::new()).unwrap();
    let name = |addr: &Addr| (!addr.is_v4()).then_some("six.example");
    printer.rows(&rows(), OFFSET_NS, name).unwrap();
    printer.flush().unwrap();
    String::from_utf8(printer.into_inner()).unwrap()
}

#[test]
fn text_reads_like_ping() {
    let expected = "\
2026-01-02T03:04:05.123456Z 10.0.0.1: seq=7 answered rtt=0.123 ms ttl=63 (±2.1 us kernel)
2026-01-02T03:04:05.123456Z 10.0.0.1: seq=7 error host_unreachable (type 3 code 1) from 192.0.2.9 rtt=0.123 ms ttl=63 (±2.1 us kernel)
2026-01-02T03:04:05.123456Z 10.0.0.1: seq=7 lost [this machine dropped arrivals]
2026-01-02T03:04:05.123456Z 10.0.0.1: seq=7 unsent: no_route
2026-01-02T03:04:05.123456Z six.example (2001:db8::1): seq=7 answered rtt=0.123 ms ttl=63 (±2.1 us kernel)
";
    assert_eq!(print(OutputFormat::Text), expected);
}

#[test]
fn json_is_one_object_a_line() {
    let text = print(OutputFormat::Json);
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 5);
    let always = [
        "time",
        "target",
        "seq",
        "outcome",
        "rtt_us",
        "responder",
        "reply_hop_limit",
        "stamp_source",
        "error_bound_us",
    ];
    for row in &rows {
        assert!(always.iter().all(|key| row.get(key).is_some()), "{row}");
        assert_eq!(row["time"], "2026-01-02T03:04:05.123456789Z");
    }
    assert_eq!(rows[0].as_object().unwrap().len(), always.len());
    assert_eq!(rows[0]["rtt_us"], 123.456);
    assert_eq!(rows[0]["error_bound_us"], 2.01);
    assert_eq!((&rows[0]["responder"], &rows[0]["reply_hop_limit"]), (&"10.0.0.1".into(), &63.into()));
    assert_eq!(
        (&rows[1]["error"], &rows[1]["icmp_type"], &rows[1]["icmp_code"]),
        (&"host_unreachable".into(), &3.into(), &1.into())
    );
    assert_eq!(rows[1]["responder"], "192.0.2.9");
    assert!(always[4..].iter().all(|key| rows[2][key].is_null() && rows[3][key].is_null()));
    assert_eq!((&rows[2]["outcome"], &rows[2]["self_inflicted"]), (&"lost".into(), &true.into()));
    assert_eq!((&rows[3]["outcome"], &rows[3]["reason"]), (&"unsent".into(), &"no_route".into()));
    assert_eq!((&rows[4]["name"], &rows[4]["responder"]), (&"six.example".into(), &"2001:db8::1".into()));
}

#[test]
fn csv_has_as_many_fields_as_its_header() {
    let text = print(OutputFormat::Csv);
    assert!(text.lines().all(|line| line.split(',').count() == 15), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let time = "2026-01-02T03:04:05.123456789Z";
    assert_eq!(lines[1], format!("{time},10.0.0.1,,7,answered,123.456,10.0.0.1,63,kernel,2.010,,,,,"));
    assert_eq!(
        lines[2],
        format!("{time},10.0.0.1,,7,error,123.456,192.0.2.9,63,kernel,2.010,host_unreachable,3,1,,")
    );
    assert_eq!(lines[3], format!("{time},10.0.0.1,,7,lost,,,,,,,,,,true"));
    assert_eq!(lines[4], format!("{time},10.0.0.1,,7,unsent,,,,,,,,,no_route,"));
}

#[test]
fn odd_names_break_no_line() {
    let odd = "a\"b\\c,\n\u{1}é";
    for format in [OutputFormat::Json, OutputFormat::Csv] {
        let mut printer = Printer::new(format, Vec::new()).unwrap();
        printer.rows(&rows()[..1], OFFSET_NS, |_| Some(odd)).unwrap();
        let text = String::from_utf8(printer.into_inner()).unwrap();
        match format {
            OutputFormat::Json => {
                assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["name"], odd);
            }
            _ => assert!(text.contains(",\"a\"\"b\\c,\n\u{1}é\",7,"), "{text}"),
        }
    }
}

#[test]
fn none_prints_nothing_and_a_closed_pipe_is_an_error() {
    assert_eq!(print(OutputFormat::None), "");
    let mut printer = Printer::new(OutputFormat::Json, Closed).unwrap();
    let error = printer.rows(&rows(), OFFSET_NS, |_| None).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn numbers_for_people() {
    assert_eq!([0, 999, 1_000, 1_234_567].map(human_count), ["0", "999", "1,000", "1,234,567"]);
    let spans = [873, 12_345, 1_200_000, 61_500_000_000].map(human_span_ns);
    assert_eq!(spans, ["873 ns", "12.345 us", "1.200 ms", "61.500 s"]);
}
