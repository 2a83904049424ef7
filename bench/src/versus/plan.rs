//! What is run, how often, and for how long: the whole comparison on one page.

use super::report::{Addresses, Case, Part};
use super::tool::Tool;

/// Rates at which a prober must be cheap.
pub const RATES_PPS: [u64; 3] = [1_000, 10_000, 100_000];
/// The rate of the sustained runs ...
pub const SUSTAINED_PPS: u64 = 1_000_000;
/// ... and what AF_XDP on all queues is asked for, since one request in a thousand is lost: a million answers at least.
const SUSTAINED_XDP_PPS: u64 = 1_010_000;
/// Payload bytes of the runs that all tools are compared in.
pub const SIZE: u16 = 32;
/// Other sizes; the larger one still fits an AF_XDP frame and an Ethernet packet of 1,500 bytes.
const SIZES: [u16; 2] = [512, 1400];

/// Runs that take turns: the first of each, then the second of each, and so on.
pub struct Set {
    /// Who.
    pub entries: Vec<(Tool, Case)>,
    /// How often each.
    pub repeats: u32,
    /// For how long, in seconds.
    pub window_s: f64,
}

/// The comparison, with the backends that work here.
pub fn plan(backends: &[&'static str], quick: bool) -> Vec<Set> {
    let set = |entries: Vec<(Tool, Case)>, repeats: u32, window_s: f64| Set {
        entries,
        repeats: if quick { 1 } else { repeats },
        window_s: if quick { window_s.min(1.0) } else { window_s },
    };
    let ours = || backends.iter().map(|backend| Tool::Megaping(backend));
    // The long runs are for those that can do a million a second at all.
    let fast: Vec<Tool> = ours().filter(|tool| tool.brings_program()).collect();
    let (v4, v6) = (Addresses::V4, Addresses::V6);

    let mut main: Vec<_> =
        ours().flat_map(|tool| [1, 2].map(|shards| full(tool, shards, v4, SIZE))).collect();
    main.extend([1, 2].map(|queues| full(Tool::Bare, queues, v4, SIZE)));
    main.extend([full(Tool::Zmap, 1, v4, SIZE), full(Tool::Masscan, 1, v4, SIZE)]);

    let mut other: Vec<_> =
        ours().flat_map(|tool| [1, 2].map(|shards| full(tool, shards, v6, SIZE))).collect();
    for size in SIZES {
        other.extend(ours().chain([Tool::Bare]).map(|tool| full(tool, 1, v4, size)));
    }
    other.push(full(Tool::Masscan, 1, v6, SIZE));

    let both = |tool| [v4, v6].map(|family| full(tool, 1, family, SIZE));
    let slow = [Tool::Scamper, Tool::Mtr].into_iter().flat_map(both).collect();

    let rates = RATES_PPS
        .into_iter()
        .flat_map(|rate_pps| ours().map(move |tool| with(tool, Part::Rate, Addresses::V4, Some(rate_pps))));
    // Any tool will do: it is the world's program that is timed.
    let world = ours().take(1).flat_map(|tool| [v4, v6].map(|family| with(tool, Part::World, family, None)));
    let long = |part| fast.iter().map(move |tool| long(*tool, part));
    vec![
        set(main, 5, 3.0),
        set(other, 3, 1.5),
        set(slow, 3, 2.0),
        // It has used up its sequence numbers in a third of a second.
        set(both(Tool::Fping).to_vec(), 5, 0.15),
        set(rates.collect(), 2, 3.0),
        set(world.collect(), 1, 1.5),
        set(long(Part::Sustained).collect(), 1, 60.0),
        set(long(Part::Throttled).collect(), 1, 60.0),
    ]
}

/// As fast as it goes.
pub fn full(tool: Tool, shards: u16, addresses: Addresses, size: u16) -> (Tool, Case) {
    // Those two have a size of their own.
    let size = (!matches!(tool, Tool::Zmap | Tool::Masscan | Tool::Scamper | Tool::Mtr)).then_some(size);
    (tool, Case { part: Part::Full, tool: tool.name(), shards, addresses, size, rate_pps: None })
}

/// One shard, for another purpose.
pub fn with(tool: Tool, part: Part, addresses: Addresses, rate_pps: Option<u64>) -> (Tool, Case) {
    (tool, Case { part, tool: tool.name(), shards: 1, addresses, size: Some(SIZE), rate_pps })
}

/// A long run at a steady rate: one shard of the kernel ring, two of AF_XDP.
pub fn long(tool: Tool, part: Part) -> (Tool, Case) {
    let (shards, rate_pps) =
        if tool == Tool::Megaping("xdp") { (2, SUSTAINED_XDP_PPS) } else { (1, SUSTAINED_PPS) };
    let (tool, case) = with(tool, part, Addresses::Both, Some(rate_pps));
    (tool, Case { shards, ..case })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_is_in_every_part_that_it_can_be_in() {
        let sets = plan(&["raw", "xdp"], false);
        let count = |tool: &str, part: Part| {
            let entries = sets.iter().flat_map(|set| &set.entries);
            entries.filter(|(_, case)| case.tool == tool && case.part == part).count()
        };
        assert_eq!((count("megaping raw", Part::Full), count("megaping xdp", Part::Full)), (6, 6));
        assert_eq!((count("megaping raw", Part::Sustained), count("megaping xdp", Part::Sustained)), (0, 1));
        assert_eq!((count("megaping raw", Part::Rate), count("bare AF_XDP", Part::Full)), (3, 4));
        let time_s: f64 =
            sets.iter().map(|s| (s.window_s + 3.3) * f64::from(s.repeats) * s.entries.len() as f64).sum();
        assert!(time_s < 1200.0, "{time_s} s is too long for a comparison");
    }

    #[test]
    fn a_quick_one_is_quick() {
        assert!(plan(&["raw"], true).iter().all(|set| set.repeats == 1 && set.window_s <= 1.0));
    }
}
