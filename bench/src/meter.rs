//! The part of a stage that is measured.

use megaping_ring::process_cpu_ns;

/// How callgrind finds the measured part: a pattern over function names, mangled or not.
pub const SECTION_PATTERN: &str = "*measured_section*";

/// Adds up the measured parts of a stage.
#[derive(Clone, Copy, Default, Debug)]
pub struct Meter {
    cpu_ns: u64,
    probes: u64,
}

impl Meter {
    /// Runs `work` on the meter; it returns how many probes it worked on.
    pub fn run(&mut self, work: impl FnOnce() -> u64) {
        // Processor time and not the time of day: on a shared machine, other people's work does not count.
        let start = process_cpu_ns();
        let probes = measured_section(work);
        self.cpu_ns += process_cpu_ns() - start;
        self.probes += probes;
    }

    /// Probes so far.
    pub fn probes(&self) -> u64 {
        self.probes
    }

    /// Nanoseconds a probe so far.
    pub fn ns_per_probe(&self) -> f64 {
        self.cpu_ns as f64 / self.probes.max(1) as f64
    }
}

/// A function of its own, so that callgrind can collect inside of it and nowhere else: preparing a stage's
/// input, which happens between sections, is not counted.
#[inline(never)]
fn measured_section(work: impl FnOnce() -> u64) -> u64 {
    work()
}
