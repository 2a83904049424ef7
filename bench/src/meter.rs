//! The part of a stage that is measured.

use megaping_ring::process_cpu_ns;
use perf_event::events::Hardware as Event;
use perf_event::{Builder, Counter};
use serde::{Deserialize, Serialize};

/// How callgrind finds the measured part: a pattern over function names, mangled or not.
pub const SECTION_PATTERN: &str = "*measured_section*";

/// What the processor's own counters say of a probe, in our own code alone; none where the machine has no such
/// counter, or does not let us look.
#[derive(Clone, Default, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hardware {
    /// Cycles.
    pub cycles: Option<f64>,
    /// Instructions that were retired.
    pub instructions: Option<f64>,
    /// Misses of the last cache.
    pub cache_misses: Option<f64>,
    /// Branches that were predicted wrongly.
    pub branch_misses: Option<f64>,
    /// Why none is there, if so.
    pub missing: Option<String>,
}

/// Adds up the measured parts of a stage.
#[derive(Debug)]
pub struct Meter {
    cpu_ns: u64,
    probes: u64,
    /// In the order of [`EVENTS`].
    counters: Vec<std::io::Result<Counter>>,
}

const EVENTS: [Event; 4] =
    [Event::CPU_CYCLES, Event::INSTRUCTIONS, Event::CACHE_MISSES, Event::BRANCH_MISSES];

impl Meter {
    /// A meter at zero, with what counters there are.
    pub fn new() -> Meter {
        let counters = EVENTS.into_iter().map(|event| Builder::new().kind(event).build()).collect();
        Meter { cpu_ns: 0, probes: 0, counters }
    }

    /// Runs `work` on the meter; it returns how many probes it worked on.
    pub fn run(&mut self, work: impl FnOnce() -> u64) {
        self.each_counter(Counter::enable);
        // Processor time and not the time of day: on a shared machine, other people's work does not count.
        let start = process_cpu_ns();
        let probes = measured_section(work);
        self.cpu_ns += process_cpu_ns() - start;
        self.each_counter(Counter::disable);
        self.probes += probes;
    }

    /// A counter that fails once is gone: half of a count is none.
    fn each_counter(&mut self, switch: impl Fn(&mut Counter) -> std::io::Result<()>) {
        for counter in &mut self.counters {
            if let Ok(Err(error)) = counter.as_mut().map(&switch) {
                *counter = Err(error);
            }
        }
    }

    /// Probes so far.
    pub fn probes(&self) -> u64 {
        self.probes
    }

    /// Nanoseconds a probe so far.
    pub fn ns_per_probe(&self) -> f64 {
        self.cpu_ns as f64 / self.probes.max(1) as f64
    }

    /// The processor's counters a probe so far.
    pub fn hardware(&mut self) -> Hardware {
        let probes = self.probes.max(1) as f64;
        let missing =
            self.counters.iter().find_map(|counter| counter.as_ref().err()).map(ToString::to_string);
        let mut counts = self.counters.iter_mut().map(|counter| {
            let count = counter.as_mut().ok()?.read().ok()?;
            Some((count as f64 / probes * 10.0).round() / 10.0)
        });
        let mut next = || counts.next().flatten();
        let (cycles, instructions, cache_misses, branch_misses) = (next(), next(), next(), next());
        let none = cycles.or(instructions).or(cache_misses).or(branch_misses).is_none();
        let missing = if none { missing } else { None };
        Hardware { cycles, instructions, cache_misses, branch_misses, missing }
    }
}

/// A function of its own, so that callgrind can collect inside of it and nowhere else: preparing a stage's
/// input, which happens between sections, is not counted.
#[inline(never)]
fn measured_section(work: impl FnOnce() -> u64) -> u64 {
    work()
}
