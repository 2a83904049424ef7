//! From what the user asked for to what each shard shall do.

use std::net::IpAddr;

use megaping_probe::trace::{Rules, TracePlan};
use megaping_probe::{PingPlan, Plan, Timing};
use megaping_store::batch::BATCH_ROWS;
use megaping_wire::Addr;

use super::RunError;
use crate::cli::{MtrOptions, PingOptions, TraceOptions};

/// A user who names neither a rate nor an interval gets at most this: fast, and no network notices.
const POLITE_PPS: u64 = 10_000;
/// The same for one who names an interval alone: what a slip of the finger may cost.
const UNASKED_PPS: u64 = 100_000;
/// Between probes of one target, where the user does not say.
const INTERVAL_NS: u64 = 1_000_000_000;
/// No demand is taken for more than this: a round grows instead.
const CEILING_PPS: u64 = 20_000_000;
/// Probes in flight that a run may need: 1.6 GiB of table.
const IN_FLIGHT_MAX: f64 = (1u64 << 25) as f64;
/// A run without a count skips probes that are later than a round, within these bounds.
const LATE_MAX_NS: (u64, u64) = (100_000_000, 1_000_000_000);
/// What a schedule that has fallen behind may send more than planned, to catch up with it: where the user sets
/// no rate, and where the rate is what the schedule was made of (over the whole run it then still holds).
const CATCH_UP: (f64, f64) = (1.25, 1.05);
/// A shard whose turns may move has room for so much more than its share: replies do not land evenly.
const UNEVEN: f64 = 1.25;
/// The same for a few targets, where a quarter more is nothing.
const UNEVEN_TURNS: u64 = 64;
/// With more targets than this none moves: a bit for each would take 32 MiB a shard.
const MOVABLE_MAX: u64 = 1 << 28;
/// Batches between shard and store thread, beside the seats of those in flight.
const BATCHES_UNDER_WAY: usize = 64;

/// Paths are numbered by 32 bits.
const PATHS_MAX: u64 = u32::MAX as u64;
/// Paths that are traced at once, at most: those with silent hops take some timeouts each.
const ACTIVE_PATHS_MAX: u32 = 1 << 17;
/// Routers that a shard remembers, at most: 160 MiB of them.
const ROUTERS_MAX: u64 = 1 << 21;

/// What the whole run shall do.
#[derive(Clone, Copy, Debug)]
pub struct RunPlan {
    /// Targets in all.
    pub targets: u64,
    /// How long a round takes.
    pub round_ns: u128,
    /// Rounds, if limited.
    pub count: Option<u32>,
    /// The end, from the start on, if there is one.
    pub duration_ns: Option<u64>,
    /// Shards: no more than targets.
    pub shards: u16,
    /// Whether targets move to the shard where their replies land.
    pub movable: bool,
    /// Source addresses, IPv4 first; [`Addr::UNSPECIFIED`] lets the kernel choose.
    pub sources: [Addr; 2],
    pace_pps: f64,
    in_flight: f64,
}

impl RunPlan {
    /// Plans a run over `targets` targets.
    ///
    /// # Errors
    /// [`RunError::TooManyInFlight`] where rate and timeout together need more memory than makes sense.
    pub fn new(options: &PingOptions, targets: u64) -> Result<RunPlan, RunError> {
        let fastest_pps = match (options.rate_pps, options.interval_ns) {
            (None, None) => POLITE_PPS,
            (None, Some(_)) => UNASKED_PPS,
            (Some(rate_pps), _) => rate_pps.min(CEILING_PPS),
        };
        let fastest_ns = u128::from(targets) * 1_000_000_000 / u128::from(fastest_pps);
        let round_ns = fastest_ns.max(options.interval_ns.unwrap_or(INTERVAL_NS).into());
        let scheduled_pps = targets as f64 * 1e9 / round_ns as f64;
        let pace_pps = match options.rate_pps {
            None => scheduled_pps * CATCH_UP.0,
            // Where the rate is what limits the schedule, it needs a little more to catch up.
            Some(_) => (fastest_pps as f64).max(scheduled_pps * CATCH_UP.1),
        };

        let timeout_s = options.timeout_ns as f64 / 1e9;
        let all = options.count.map_or(f64::INFINITY, |count| targets as f64 * f64::from(count));
        let in_flight = (scheduled_pps * timeout_s * 1.03).max((pace_pps * timeout_s).min(65_536.0)).min(all);
        if in_flight > IN_FLIGHT_MAX {
            return Err(RunError::TooManyInFlight {
                in_flight: in_flight as u64,
                most: IN_FLIGHT_MAX as u64,
            });
        }
        let shards = u64::from(options.shards).min(targets) as u16;
        let (count, duration_ns) = (options.count, options.duration_ns);
        let source = |ip: Option<IpAddr>| ip.map_or(Addr::UNSPECIFIED, Addr::from);
        let sources = [source(options.source_v4.map(Into::into)), source(options.source_v6.map(Into::into))];
        Ok(RunPlan {
            targets,
            round_ns,
            count,
            duration_ns,
            shards,
            movable: false,
            sources,
            pace_pps,
            in_flight,
        })
    }

    /// The same on rings where replies may land on another shard's: targets move then, where that is worth it.
    #[must_use]
    pub fn on_shared_rings(self) -> RunPlan {
        let rounds_many = self.count != Some(1)
            && self.duration_ns.is_none_or(|duration_ns| self.round_ns < u128::from(duration_ns));
        let movable = self.shards > 1 && rounds_many && self.targets <= MOVABLE_MAX;
        RunPlan { movable, ..self }
    }

    /// How many more targets a shard may take on than it begins with.
    #[must_use]
    pub fn room(&self) -> u64 {
        let share = self.targets / u64::from(self.shards.max(1));
        (share as f64 * (UNEVEN - 1.0)) as u64 + UNEVEN_TURNS
    }

    /// Probes a second, at most.
    #[must_use]
    pub fn fastest_pps(&self) -> f64 {
        self.pace_pps
    }

    /// Plans a daemon's work on `targets` targets, which come and go: by the rate of `options`, whatever there is to probe.
    ///
    /// # Errors
    /// As [`RunPlan::new`].
    pub fn of_fleet(options: &PingOptions, targets: u64) -> Result<RunPlan, RunError> {
        let shards = options.shards;
        let targets = targets.max(shards.into());
        let plan = RunPlan::new(options, targets)?;
        let pps = options.rate_pps.unwrap_or(POLITE_PPS) as f64;
        let in_flight = pps * (options.timeout_ns as f64 / 1e9) * 1.03;
        if in_flight > IN_FLIGHT_MAX {
            return Err(RunError::TooManyInFlight {
                in_flight: in_flight as u64,
                most: IN_FLIGHT_MAX as u64,
            });
        }
        Ok(RunPlan { shards, round_ns: INTERVAL_NS.into(), pace_pps: pps, in_flight, ..plan })
    }

    /// Plans the watching of paths to `targets` targets.
    ///
    /// # Errors
    /// [`RunError::TooManyInFlight`] where interval and timeout together need more memory than makes sense.
    pub fn of_paths(options: &MtrOptions, targets: u64) -> Result<RunPlan, RunError> {
        let hops = u64::from(options.max_hops - options.first_hop) + 1;
        let round = targets * u64::from(options.flows) * hops;
        let timeout_ns = options.probe.timeout_ns;
        // Each round may wait for all of its answers, and the one that is under way when the first ones end.
        let rounds = 2 + timeout_ns / options.interval_ns;
        let in_flight = round.saturating_mul(rounds) as f64;
        if in_flight > IN_FLIGHT_MAX {
            return Err(RunError::TooManyInFlight {
                in_flight: in_flight as u64,
                most: IN_FLIGHT_MAX as u64,
            });
        }
        let plan = RunPlan::new(&options.probe, targets)?;
        let (round_ns, count) = (options.interval_ns.into(), options.rounds);
        Ok(RunPlan { round_ns, count, pace_pps: UNASKED_PPS as f64, in_flight, ..plan })
    }

    /// Plans the tracing of `targets` targets.
    ///
    /// # Errors
    /// [`RunError::TooManyPaths`] where paths cannot be numbered.
    pub fn of_traces(options: &TraceOptions, targets: u64) -> Result<RunPlan, RunError> {
        let paths = targets.saturating_mul(options.flows.into());
        if paths > PATHS_MAX {
            return Err(RunError::TooManyPaths { paths, most: PATHS_MAX });
        }
        let probe = &options.probe;
        let pps = probe.rate_pps.unwrap_or(POLITE_PPS).min(CEILING_PPS);
        // A path begins when the rate has room beside those under way: never later than this, and often earlier
        // than the last one has ended.
        let round_ns = u128::from(paths) * 1_000_000_000 / u128::from(pps);
        let timeout_s = probe.timeout_ns as f64 / 1e9;
        let under_way = paths.min(u64::from(ACTIVE_PATHS_MAX)) * u64::from(options.window(paths));
        let in_flight = (pps as f64 * timeout_s * 1.03).min(under_way as f64);
        let plan = RunPlan::new(&PingOptions { rate_pps: None, ..probe.clone() }, targets)?;
        let round_ns = round_ns.max(probe.interval_ns.unwrap_or(1).into());
        Ok(RunPlan { round_ns, pace_pps: pps as f64, in_flight, ..plan })
    }

    /// The part of one shard in tracing `targets` targets.
    #[must_use]
    pub fn trace(&self, options: &TraceOptions, shard: u16) -> TracePlan {
        let paths = self.targets.saturating_mul(options.flows.into());
        let shards = u64::from(self.shards.max(1));
        TracePlan {
            timing: Timing {
                round_ns: self.round_ns,
                rounds: self.count,
                length_ns: self.duration_ns,
                late_max_ns: None,
            },
            shard,
            shards: self.shards,
            flows: options.flows,
            rules: Rules {
                first_hop: options.first_hop,
                max_hops: options.max_hops,
                gap: options.gap,
                window: options.window(paths),
                queries: options.queries,
            },
            active_max: (u64::from(ACTIVE_PATHS_MAX).min(paths) / shards) as usize + 1,
            routers: if options.shares { (paths / shards).clamp(1024, ROUTERS_MAX) as usize } else { 0 },
        }
    }

    /// What holds for every probe of one shard.
    #[must_use]
    pub fn of_shard(&self, options: &PingOptions, shard: u16) -> Plan {
        let turns = (self.targets - u64::from(shard)).div_ceil(u64::from(self.shards));
        let share = turns as f64 / self.targets as f64;
        Plan {
            pace_pps: self.pace_pps * share,
            burst_max: options.burst,
            timeout_ns: options.timeout_ns,
            in_flight_max: (self.in_flight * share * if self.movable { UNEVEN } else { 1.0 }) as usize + 1024,
            sources: self.sources,
            payload_len: options.payload_len,
            traffic_class: options.dscp << 2,
        }
    }

    /// The part of one shard in the work.
    #[must_use]
    pub fn ping(&self, options: &PingOptions, shard: u16) -> PingPlan {
        PingPlan {
            timing: Timing {
                round_ns: self.round_ns,
                rounds: self.count,
                length_ns: self.duration_ns,
                late_max_ns: match self.count {
                    Some(_) => None,
                    None => Some((self.round_ns.min(LATE_MAX_NS.1.into()) as u64).max(LATE_MAX_NS.0)),
                },
            },
            shard,
            shards: self.shards,
            movable: self.movable,
            hop_limit: options.hop_limit,
            flow: 0,
        }
    }

    /// Seats for outcomes that a shard with this plan needs.
    #[must_use]
    pub fn seats(plan: &Plan) -> usize {
        plan.in_flight_max.next_power_of_two() + BATCHES_UNDER_WAY * BATCH_ROWS
    }

    /// Probes in all, where that is known.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.count.map(|count| self.targets.saturating_mul(u64::from(count)))
    }

    /// How long sending takes when nothing comes between, where that is known.
    #[must_use]
    pub fn sending_ns(&self) -> Option<u64> {
        let rounds_ns = self
            .count
            .map(|count| u64::try_from(self.round_ns.saturating_mul(u128::from(count))).unwrap_or(u64::MAX));
        match (rounds_ns, self.duration_ns) {
            (Some(rounds_ns), Some(duration_ns)) => Some(rounds_ns.min(duration_ns)),
            (rounds_ns, duration_ns) => rounds_ns.or(duration_ns),
        }
    }
}
