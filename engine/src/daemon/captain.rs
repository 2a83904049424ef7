//! Turns one agenda into the next while probes fly: touches what differs, and nothing else.

use std::collections::HashMap;
use std::time::Instant;

use megaping_probe::fleet::{Circle, CirclePlan, Share};

use super::agenda::{Agenda, Measurement};
use super::roster::SharedRoster;
use super::work::{Change, Helm};

/// A measurement that runs.
#[derive(Debug)]
struct Running {
    slot: u32,
    measurement: Measurement,
    share: Share,
}

/// How many measurements an agenda began, ended, and left alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Changed {
    /// New ones, and changed ones.
    pub started: usize,
    /// Gone ones, and changed ones.
    pub ended: usize,
    /// The rest: no phase, no probe and no count of theirs was touched.
    pub untouched: usize,
}

/// The one who gives orders to the shards.
#[derive(Debug)]
pub struct Captain {
    helms: Vec<Helm>,
    roster: SharedRoster,
    // By tenant and name.
    running: HashMap<(String, String), Running>,
}

impl Captain {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(helms: Vec<Helm>, roster: SharedRoster) -> Captain {
        Captain { helms, roster, running: HashMap::new() }
    }

    /// From now on `agenda` holds, and all tenants together may send `node_pps` probes a second. Returns when every
    /// change was handed over; shards take them within a breath.
    pub fn follow(&mut self, agenda: &Agenda, node_pps: f64) -> Changed {
        let shares = agenda.shares(node_pps);
        let mut changed = Changed::default();
        let mut before = std::mem::take(&mut self.running);
        let mut fresh = Vec::new();
        for measurement in &agenda.measurements {
            let tenant = &agenda.tenants[measurement.tenant];
            if tenant.paused {
                continue;
            }
            let (key, share) = ((tenant.name.clone(), measurement.name.clone()), shares[measurement.tenant]);
            match before.remove(&key) {
                Some(mut running) if is_same(&running.measurement, measurement) => {
                    changed.untouched += 1;
                    if running.share != share {
                        self.tell(|_| Change::Share(running.slot, share));
                        running.share = share;
                    }
                    // Tenants may have changed places.
                    running.measurement.tenant = measurement.tenant;
                    self.running.insert(key, running);
                }
                old => {
                    // First all that ends, so that at no time there is more than either agenda asks for.
                    before.extend(old.map(|old| (key.clone(), old)));
                    fresh.push((key, measurement.clone(), share));
                }
            }
        }
        for (_, gone) in before {
            changed.ended += 1;
            self.tell(|_| Change::End(gone.slot));
            self.roster.lock().leave(gone.slot, Instant::now());
        }
        for (key, measurement, share) in fresh {
            changed.started += 1;
            self.start(key, measurement, share);
        }
        self.tidy();
        changed
    }

    /// Frees the memory of what has ended.
    pub fn tidy(&self) {
        for helm in &self.helms {
            helm.clear();
        }
    }

    fn start(&mut self, key: (String, String), measurement: Measurement, share: Share) {
        let slot = self.roster.lock().sit(&key.0, &key.1, Instant::now());
        let plan = CirclePlan {
            slot,
            class: measurement.class,
            interval_ns: measurement.interval_ns,
            hop_limit: measurement.hop_limit,
            flows: measurement.flows,
            share,
            rounds: measurement.rounds,
            seed: seed(&key.0, &key.1),
            targets: measurement.targets.clone(),
        };
        let shards = self.helms.len() as u16;
        self.tell(|shard| Change::Start(Box::new(Circle::new(plan.clone(), shard, shards))));
        self.running.insert(key, Running { slot, measurement, share });
    }

    fn tell(&self, change: impl Fn(u16) -> Change) {
        for (shard, helm) in self.helms.iter().enumerate() {
            let mut change = change(shard as u16);
            while let Err(back) = helm.tell(change) {
                // A shard reads hundreds at once, each breath; one that died is noticed by whoever watches it.
                change = back;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
}

/// Whether nothing differs that a probe would notice.
fn is_same(one: &Measurement, other: &Measurement) -> bool {
    let alike = |m: &Measurement| (m.interval_ns, m.rounds, m.class, m.hop_limit, m.flows);
    alike(one) == alike(other) && one.targets == other.targets
}

/// The same for a name in every process: FNV-1a (Fowler, Noll, Vo).
fn seed(tenant: &str, measurement: &str) -> u64 {
    let bytes = tenant.bytes().chain([0]).chain(measurement.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use megaping_probe::Nanos;
    use megaping_probe::work::{Class, Work};
    use megaping_wire::Addr;

    use super::super::agenda::Tenant;
    use super::super::work::FleetWork;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn agenda(tenants: &[(&str, f64, bool)], measurements: &[(usize, &str, u64, u32)]) -> Agenda {
        let tenant = |&(name, weight, paused): &(&str, f64, bool)| Tenant {
            name: name.to_owned(),
            weight,
            max_pps: None,
            paused,
        };
        let measurement = |&(tenant, name, interval_ns, targets): &(usize, &str, u64, u32)| Measurement {
            tenant,
            name: name.to_owned(),
            interval_ns,
            rounds: None,
            class: Class { payload_len: 24, traffic_class: 0, timeout_ns: SECOND },
            hop_limit: 64,
            flows: 1,
            labels: std::collections::BTreeMap::new(),
            targets: (0..targets).map(|at| Addr::v4((0x0a00_0000 + at).to_be_bytes())).collect(),
        };
        Agenda {
            tenants: tenants.iter().map(tenant).collect(),
            measurements: measurements.iter().map(measurement).collect(),
        }
    }

    /// Takes what is due until then: by slot, how many left and how many were shed.
    fn take(work: &mut FleetWork, until: u64) -> HashMap<u64, (u64, u64)> {
        let mut counts: HashMap<u64, (u64, u64)> = HashMap::new();
        while work.due().is_some_and(|due| due < Nanos(until)) {
            let shed = work.is_shed();
            let task = work.take().expect("it is due");
            let count = counts.entry(task.target >> 32).or_default();
            if shed { count.1 += 1 } else { count.0 += 1 }
        }
        counts
    }

    #[test]
    fn an_agenda_touches_what_differs_and_shares_follow_it() {
        let (mut work, helm) = FleetWork::new(0);
        let roster = SharedRoster::default();
        let mut captain = Captain::new(vec![helm], roster.clone());
        work.begin(Nanos(0));
        let first = agenda(
            &[("acme", 1.0, false), ("greedy", 1.0, false)],
            &[(0, "web", SECOND, 100), (1, "all", SECOND, 9000)],
        );
        let changed = captain.follow(&first, 1000.0);
        assert_eq!(changed, Changed { started: 2, ended: 0, untouched: 0 });
        work.breathe(Nanos(0));
        let counts = take(&mut work, 10 * SECOND);
        assert_eq!(counts[&0], (1000, 0), "who asks for its part gets all of it");
        assert!(counts[&1].0.abs_diff(9000) <= 20 && counts[&1].0 + counts[&1].1 == 90_000, "{counts:?}");

        // The greedy one rests, another comes, and one changes.
        let second = agenda(
            &[("greedy", 1.0, true), ("acme", 1.0, false), ("globex", 2.0, false)],
            &[(0, "all", SECOND, 9000), (1, "web", SECOND, 100), (2, "dns", SECOND / 2, 50)],
        );
        let changed = captain.follow(&second, 1000.0);
        assert_eq!(changed, Changed { started: 1, ended: 1, untouched: 1 });
        work.breathe(Nanos(10 * SECOND));
        let counts = take(&mut work, 20 * SECOND);
        assert_eq!((counts[&0], counts[&2], counts.len()), ((1000, 0), (1000, 0), 2));
        let third = agenda(&[("globex", 2.0, false)], &[(0, "dns", SECOND, 50)]);
        assert_eq!(captain.follow(&third, 10.0), Changed { started: 1, ended: 2, untouched: 0 });
        work.breathe(Nanos(20 * SECOND));
        let counts = take(&mut work, 30 * SECOND);
        let (sent, shed) = counts[&3];
        assert!(sent.abs_diff(100) <= 3 && sent + shed == 500, "{counts:?}");
        captain.tidy();
    }
}
