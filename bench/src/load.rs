//! The load: a long list of scattered addresses, each probed once a second.

use std::fmt::Write as _;
use std::sync::Arc;

use megaping::cli::{self, PingOptions, Request};
use megaping::run::{RunPlan, Walk};
use megaping::targets::{Place, TargetBuilder};
use megaping_probe::{Core, Craft, HEADER_LEN, Identity, Nanos, Ping, Plan, Targets};
use megaping_wire::Addr;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;
/// Targets, each probed once a second: so many probes a second.
pub const TARGETS: u64 = 1_000_000;
/// Payload bytes of a probe.
pub const PAYLOAD_LEN: u16 = 32;
/// Round trip of every probe, in nanoseconds.
pub const RTT_NS: u64 = 20_000_000;
/// The shard's breath, in nanoseconds: what is due in it is sent in one go.
pub const BREATH_NS: u64 = 200_000;
/// Breaths in one measured section: long enough that reading the clock costs nothing beside it.
pub const SECTION_BREATHS: u64 = 20;
/// When virtual time begins.
pub const START: Nanos = Nanos(SECOND);

/// An address family.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// As tables have it.
    pub fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }

    /// As the command line has it.
    pub fn flag(self) -> &'static str {
        match self {
            Family::V4 => "v4",
            Family::V6 => "v6",
        }
    }
}

/// Pseudo-random numbers with a seed: `SplitMix64` (Steele, Lea and Flood 2014).
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Between zero and one, neither of them.
    pub fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Exponentially distributed, with mean one.
    pub fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }

    /// Normally distributed (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// `n` addresses scattered over the unicast space of a family, no two the same.
pub fn addresses(family: Family, n: u64) -> impl Iterator<Item = Addr> {
    let mut random = Random(7);
    let mut number = 0u32;
    let scattered = std::iter::repeat_with(move || {
        // A bijection (odd multiplier, xor-shift), so that no address comes twice.
        number = number.wrapping_add(1);
        let place = number.wrapping_mul(0x9e37_79b1);
        let place = (place ^ place >> 15).wrapping_mul(0x85eb_ca6b);
        let place = place ^ place >> 13;
        match family {
            Family::V4 => Addr::v4(place.to_be_bytes()),
            Family::V6 => {
                // Half of the interface identifiers are small, as servers have them, the others random.
                let random = random.bits();
                let low = if random.is_multiple_of(2) { random >> 54 } else { random };
                Addr::from_bits(0x2001 << 112 | u128::from(place) << 80 | u128::from(low))
            }
        }
    });
    let unicast = |addr: &Addr| !addr.is_v4() || (1..224).contains(&addr.v4_octets()[0]);
    scattered.filter(unicast).take(n as usize)
}

/// The same as the text of a list, one address a line.
pub fn list(family: Family, n: u64) -> String {
    let mut text = String::new();
    for addr in addresses(family, n) {
        // Writing to a string cannot fail.
        let _ok = writeln!(text, "{addr}");
    }
    text
}

/// The walk that a run takes over `n` addresses.
pub fn walk(family: Family, n: u64) -> Result<Walk> {
    let mut builder = TargetBuilder::new(None);
    let place = Place::command_line();
    for addr in addresses(family, n) {
        builder.add(&addr.to_string(), &place)?;
    }
    Ok(Walk::new(Arc::new(builder.build()?), 42))
}

/// The options of a run with more arguments, at one probe a second for each target, timeout one second.
pub fn options(more: &[&str]) -> Result<PingOptions> {
    let size = PAYLOAD_LEN.to_string();
    let line = ["megaping", "ping", "--interval", "1", "--rate", "5M", "--timeout", "1", "--size", &size];
    match cli::parse_from(line.iter().chain(more))? {
        Request::Ping(options) => Ok(*options),
        _ => Err("not a ping".into()),
    }
}

/// The plan that the program makes of `options` for one shard with `n` targets.
pub fn plan_of(options: &PingOptions, n: u64) -> Result<Plan> {
    let plan = RunPlan::new(options, n)?.of_shard(options, 0);
    // A run learns its sources from the kernel; here they are given, so that IPv6 checksums are ours to make.
    let v6 = 0x2001_0db8 << 96 | 1;
    Ok(Plan { sources: [Addr::v4([192, 0, 2, 1]), Addr::from_bits(v6)], ..plan })
}

/// The work that the program makes of `options` for one shard that walks all targets.
pub fn ping_of(options: &PingOptions, walk: Walk) -> Result<Ping<Walk>> {
    Ok(Ping::new(&RunPlan::new(options, walk.len())?.ping(options, 0), walk))
}

/// Plan and work of this load.
pub fn load(family: Family, n: u64) -> Result<(Plan, Ping<Walk>)> {
    let options = options(&["192.0.2.1"])?;
    Ok((plan_of(&options, n)?, ping_of(&options, walk(family, n)?)?))
}

/// A core with this load, begun.
pub fn core(family: Family, n: u64) -> Result<Core<Ping<Walk>>> {
    let (plan, ping) = load(family, n)?;
    let mut core = Core::new(plan, ping, Identity::new(0, 0, [7; 16]));
    core.begin(START);
    Ok(core)
}

/// A renderer of this load's packets.
pub fn craft() -> Craft {
    let mut random = Random(3);
    let fill: Vec<u8> = (HEADER_LEN..usize::from(PAYLOAD_LEN)).map(|_| random.bits() as u8).collect();
    Craft::new(&fill)
}
