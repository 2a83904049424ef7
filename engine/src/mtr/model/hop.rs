//! What is known of one hop.

use megaping_probe::Nanos;
use megaping_probe::trace::{HopEnd, HopEvent, HopMarks, Labels};
use megaping_wire::Addr;

use super::history::History;
use super::rtt::Rtt;
use super::switch::{Switch, Watch};

/// Responders of one hop that are told apart; answers of further ones are counted together.
pub const RESPONDERS_MAX: usize = 16;

/// One router (or host) among those that answer at a hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Responder {
    /// Its address.
    pub addr: Addr,
    /// Answers from it.
    pub received: u64,
    /// Its newest round trip in nanoseconds.
    pub last_ns: u64,
    /// Its shortest.
    pub best_ns: u64,
    /// The sum of all.
    sum_ns: u128,
    /// The newest kind of answer.
    pub end: HopEnd,
    /// TTL or hop limit of its newest answer on arrival.
    pub reply_hop_limit: u8,
    /// TOS or traffic class in its newest quote.
    pub quoted_traffic_class: u8,
    /// All marks of its answers together.
    pub marks: HopMarks,
    /// The label stack in its newest answer.
    pub labels: Labels,
    /// When the probe of its newest answer left.
    pub at: Nanos,
}

impl Responder {
    fn new(event: &HopEvent) -> Responder {
        Responder {
            addr: event.responder,
            received: 0,
            last_ns: 0,
            best_ns: u64::MAX,
            sum_ns: 0,
            end: event.end,
            reply_hop_limit: 0,
            quoted_traffic_class: 0,
            marks: HopMarks::default(),
            labels: Labels::NONE,
            at: event.at,
        }
    }

    fn take(&mut self, event: &HopEvent) {
        self.received += 1;
        self.best_ns = self.best_ns.min(event.rtt_ns);
        self.sum_ns += u128::from(event.rtt_ns);
        self.marks = self.marks.with(event.marks);
        if event.at >= self.at {
            self.at = event.at;
            self.last_ns = event.rtt_ns;
            self.end = event.end;
            self.reply_hop_limit = event.reply_hop_limit;
            self.quoted_traffic_class = event.quoted_traffic_class;
            self.labels = event.labels;
        }
    }

    /// The mean of its round trips in nanoseconds.
    #[must_use]
    pub fn mean_ns(&self) -> f64 {
        self.sum_ns as f64 / self.received.max(1) as f64
    }

    /// How many hops its answers took on their way back, where the hop limit tells: most systems start with 64,
    /// 128 or 255, and some with 32. Another number than the hop's own hints at an asymmetric path.
    #[must_use]
    pub const fn hops_back(&self) -> Option<u8> {
        match self.reply_hop_limit {
            0 => None,
            left @ 1..=32 => Some(33 - left),
            left @ 33..=64 => Some(65 - left),
            left @ 65..=128 => Some(129 - left),
            left => Some(255 - left + 1),
        }
    }
}

/// All that one hop has told.
#[derive(Clone, Debug, Default)]
pub struct Hop {
    /// Probes that have ended, less those that never left.
    pub sent: u64,
    /// Those of them that were answered.
    pub received: u64,
    /// Probes that never left.
    pub unsent: u64,
    /// Round trips.
    pub rtt: Rtt,
    /// The last rounds.
    pub history: History,
    /// Who answered, in the order of their first answers.
    pub responders: Vec<Responder>,
    /// Answers of those for whom there was no room.
    pub others: u64,
    watch: Watch,
    last_answer: Option<(u32, HopEnd)>,
}

impl Hop {
    /// Takes an event of this hop; the switch of responders where it proves one.
    pub fn take(&mut self, event: &HopEvent) -> Option<Switch> {
        match event.end {
            HopEnd::Unsent(_) => {
                self.unsent += 1;
                None
            }
            HopEnd::Lost => {
                self.sent += 1;
                self.history.add(event.round, None);
                None
            }
            end => {
                self.sent += 1;
                self.received += 1;
                self.rtt.record(event.rtt_ns);
                self.history.add(event.round, Some(event.rtt_ns));
                self.credit(event);
                let newest =
                    self.last_answer.is_none_or(|(round, _)| !super::history::is_later(round, event.round));
                if newest {
                    self.last_answer = Some((event.round, end));
                }
                self.watch.hear(event.responder, event.round, event.at)
            }
        }
    }

    fn credit(&mut self, event: &HopEvent) {
        let known = self.responders.iter().position(|responder| responder.addr == event.responder);
        if known.is_none() && self.responders.len() < RESPONDERS_MAX {
            self.responders.push(Responder::new(event));
        }
        let place = known.unwrap_or(self.responders.len().saturating_sub(1));
        match self.responders.get_mut(place) {
            Some(responder) if responder.addr == event.responder => responder.take(event),
            _ => self.others += 1,
        }
    }

    /// Probes that nobody answered.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// The lost share of the probes that left, 0 to 1.
    #[must_use]
    pub fn loss(&self) -> f64 {
        if self.sent == 0 { 0.0 } else { self.lost() as f64 / self.sent as f64 }
    }

    /// The responder that this hop is believed to have now.
    #[must_use]
    pub const fn current(&self) -> Option<Addr> {
        self.watch.current()
    }

    /// The round and kind of the newest answer.
    #[must_use]
    pub const fn last_answer(&self) -> Option<(u32, HopEnd)> {
        self.last_answer
    }

    /// Who answers here, the current one first and then the most frequent.
    #[must_use]
    pub fn ranked(&self) -> Vec<&Responder> {
        let mut ranked: Vec<&Responder> = self.responders.iter().collect();
        let current = self.current();
        ranked.sort_by_key(|responder| {
            (Some(responder.addr) != current, std::cmp::Reverse(responder.received))
        });
        ranked
    }

    /// All marks of all answers.
    #[must_use]
    pub fn marks(&self) -> HopMarks {
        self.responders.iter().fold(HopMarks::default(), |marks, responder| marks.with(responder.marks))
    }
}
