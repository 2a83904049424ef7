//! What freezes the kept packets by itself: answers that are forged, and targets that lose too much.

use std::collections::HashMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use megaping_capture::pcapng::{Link, Writer};
use megaping_capture::{Captured, Counts, Direction, Hello, Verdict};

use super::kept::Kept;
use crate::say::say;

/// No more often than this, in nanoseconds.
const REST_NS: u64 = 60_000_000_000;
/// Files of a run, at most.
const FILES: u32 = 100;
/// Probes of a target that are looked at together.
const WINDOW: usize = 16;
/// With fewer that had their time, nothing is said.
const LEAST: usize = 8;

/// When packets are frozen.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Trigger {
    /// An answer whose MAC is not ours, or to a probe that was never sent.
    Invalid,
    /// Of a target's last probes more than this share had no answer in time.
    Loss(f64),
}

impl FromStr for Trigger {
    type Err = String;

    fn from_str(text: &str) -> Result<Trigger, String> {
        let share = text.strip_prefix("loss=").and_then(|rest| rest.strip_suffix('%'));
        let share =
            share.and_then(|rest| rest.parse::<f64>().ok()).filter(|share| (0.0..100.0).contains(share));
        match (text, share) {
            ("invalid", _) => Ok(Trigger::Invalid),
            (_, Some(share)) => Ok(Trigger::Loss(share / 100.0)),
            _ => Err(format!("'{text}' is no trigger: invalid, or loss=20% is")),
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trigger::Invalid => f.write_str("invalid"),
            Trigger::Loss(share) => write!(f, "loss={}%", share * 100.0),
        }
    }
}

/// A target's last probes: when each left, and whether it was answered.
#[derive(Default)]
struct Probes {
    sent: [(u64, u32, bool); WINDOW],
    next: usize,
}

/// Looks at every packet.
pub(super) struct Watch {
    triggers: Vec<Trigger>,
    dir: PathBuf,
    timeout_ns: u64,
    targets: HashMap<u64, Box<Probes>>,
    rests_until_ns: u64,
    files: u32,
}

impl Watch {
    /// Nothing is watched where there are no triggers.
    pub fn new(triggers: &[Trigger], dir: &Path, timeout_ns: u64) -> Watch {
        let (triggers, dir) = (triggers.to_vec(), dir.to_owned());
        Watch { triggers, dir, timeout_ns, targets: HashMap::new(), rests_until_ns: 0, files: 0 }
    }

    /// Looks at a packet, in order of time; freezes what is kept where it is time to.
    pub fn look(&mut self, captured: &Captured, kept: &Kept, hello: &Hello) {
        if self.triggers.is_empty() {
            return;
        }
        let why = (0..self.triggers.len()).find_map(|at| self.fires(self.triggers[at], captured));
        let Some(why) = why.filter(|_| captured.time_ns >= self.rests_until_ns && self.files < FILES) else {
            return;
        };
        self.rests_until_ns = captured.time_ns + REST_NS;
        self.files += 1;
        let path = self.dir.join(format!("megaping-{}.pcapng", captured.time_ns));
        match write(&path, kept, hello, &format!("frozen because {why}")) {
            Ok(packets) => {
                say(format_args!("megaping: {why}: {packets} packets are in {}", path.display()));
            }
            Err(error) => {
                say(format_args!("megaping: {why}: {}: cannot be written: {error}", path.display()));
            }
        }
    }

    fn fires(&mut self, trigger: Trigger, captured: &Captured) -> Option<String> {
        let target = captured.destination.ip();
        match (trigger, captured.verdict) {
            (Trigger::Invalid, Verdict::InvalidMac | Verdict::NotSent) => {
                Some(format!("of an answer to a probe to {target} that is {}", captured.verdict))
            }
            (Trigger::Loss(share), Verdict::Sent | Verdict::Matched | Verdict::Error) => {
                let (index, seq) = captured.probe?;
                let probes = self.targets.entry(index).or_default();
                if captured.direction == Direction::In {
                    probes.answered(seq);
                    return None;
                }
                let (lost, of) = probes.sent(captured.time_ns, seq, self.timeout_ns);
                (of >= LEAST && lost as f64 > share * of as f64)
                    .then(|| format!("{target} lost {lost} of its last {of} probes ({trigger})"))
            }
            _ => None,
        }
    }
}

impl Probes {
    fn answered(&mut self, seq: u32) {
        if let Some(probe) = self.sent.iter_mut().find(|probe| probe.0 > 0 && probe.1 == seq) {
            probe.2 = true;
        }
    }

    /// Another left. Of those that had their time: how many were lost, and how many there were.
    fn sent(&mut self, time_ns: u64, seq: u32, timeout_ns: u64) -> (usize, usize) {
        self.sent[self.next] = (time_ns, seq, false);
        self.next = (self.next + 1) % WINDOW;
        let ripe = |probe: &&(u64, u32, bool)| probe.0 > 0 && probe.0 + timeout_ns < time_ns;
        let lost = self.sent.iter().filter(ripe).filter(|probe| !probe.2).count();
        (lost, self.sent.iter().filter(ripe).count())
    }
}

/// Writes what is kept. Returns how many packets that were.
fn write(path: &Path, kept: &Kept, hello: &Hello, comment: &str) -> io::Result<u64> {
    // What others' packets say is nobody else's business.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut writer = Writer::new(BufWriter::new(file), hello, Link::Raw, 0, comment)?;
    let (mut first, mut last) = (None, 0);
    for packet in kept.packets() {
        writer.packet(&packet)?;
        (first, last) = (first.or(Some(packet.time_ns)), packet.time_ns);
    }
    let seen = writer.written();
    writer.statistics(&Counts { seen, ..Counts::default() }, first.unwrap_or(last), last)?;
    writer.get_mut().flush()?;
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::tests::captured;

    const SECOND: u64 = 1_000_000_000;

    fn sent(seq: u32) -> Captured {
        let (time_ns, probe) = (SECOND * (u64::from(seq) + 1), Some((7, seq)));
        Captured { time_ns, probe, direction: Direction::Out, verdict: Verdict::Sent, ..captured() }
    }

    fn matched(seq: u32) -> Captured {
        Captured { direction: Direction::In, verdict: Verdict::Matched, ..sent(seq) }
    }

    #[test]
    fn words_lead_back_and_others_are_refused() {
        for word in ["invalid", "loss=20%", "loss=0%"] {
            assert_eq!(word.parse::<Trigger>().unwrap().to_string(), word);
        }
        for wrong in ["", "loss", "loss=20", "loss=100%", "loss=-1%", "law"] {
            assert!(wrong.parse::<Trigger>().unwrap_err().contains("loss=20%"), "{wrong}");
        }
    }

    #[test]
    fn loss_fires_when_enough_probes_had_their_time() {
        let mut watch = Watch::new(&[], Path::new("/"), SECOND / 2);
        let trigger = Trigger::Loss(0.6);
        for seq in 0..40 {
            assert_eq!(watch.fires(trigger, &sent(seq)), None, "{seq}");
            // Every second one is lost: eight of fifteen at most.
            if seq % 2 == 0 {
                watch.fires(trigger, &matched(seq));
            }
        }
        let fired = (40..60).find_map(|seq| watch.fires(trigger, &sent(seq)).map(|why| (seq, why)));
        let (seq, why) = fired.expect("all are lost");
        assert!(seq < 45 && why.contains("of its last 15 probes (loss=60%)"), "{seq}: {why}");
    }

    #[test]
    fn a_file_is_written_once_in_a_while_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = Kept::new(10_000);
        let mut watch = Watch::new(&[Trigger::Invalid], dir.path(), SECOND);
        let forged = Captured { time_ns: 9 * SECOND, verdict: Verdict::InvalidMac, ..captured() };
        kept.push(&forged);
        for _ in 0..3 {
            watch.look(&forged, &kept, &Hello::default());
        }
        let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let bytes = std::fs::read(&files[0]).unwrap();
        let reason = b"that is invalid_mac";
        assert!(bytes.windows(reason.len()).any(|part| part == reason));
    }
}
