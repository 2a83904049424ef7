//! Values of the configuration: read by the same functions as the flags of the same meaning, so that they take and refuse
//! the same, in the same words.

use std::fmt::Display;

use schemars::JsonSchema;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use crate::capture::Trigger;
use crate::cli::{ArchiveFormat, values};

/// How such a value is written, for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is described, never made")]
pub(super) enum Written {
    /// As the flag of the same meaning takes it: "20k", "250ms", "64M".
    Text(String),
    /// A number.
    Number(f64),
}

/// A value as a flag's text, whether it is written as a text or as a number.
struct AsFlag<T, E>(fn(&str) -> Result<T, E>);

impl<T, R: Display> Visitor<'_> for AsFlag<T, R> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $read:expr;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<$type>, D::Error> {
            deserializer.deserialize_any(AsFlag($read)).map(Some)
        }
    )*};
}

flags! {
    /// Probes a second.
    rate: u64 = values::rate;
    /// Threads.
    shards: u16 = values::shards;
    /// Probes in a row.
    burst: u32 = values::burst;
    /// What results become.
    archive: ArchiveFormat = values::archive;
    /// Bytes on a disk.
    room: u64 = values::room;
    /// Between two probes of a target.
    interval: u64 = interval_ns;
    /// Rounds.
    count: u32 = values::count;
    /// How long to wait.
    timeout: u64 = values::timeout;
    /// Payload bytes.
    size: u16 = values::size;
    /// A code point.
    dscp: u8 = values::dscp;
    /// TTL or hop limit.
    hop_limit: u8 = values::ttl;
    /// ECMP paths.
    flows: u16 = flow_count;
    /// A group of this machine.
    group: u32 = values::group;
    /// A file's mode.
    mode: u32 = octal;
    /// Against those of other tenants.
    weight: f64 = above_zero;
}

/// Less than this is no monitoring but a flood; and what is more is a date.
const INTERVALS_NS: (u64, u64) = (10_000_000, 86_400_000_000_000);
/// More than this no router spreads.
const MOST_FLOWS: u64 = 64;
const WEIGHTS: (f64, f64) = (0.001, 1e6);

fn interval_ns(text: &str) -> Result<u64, String> {
    let interval_ns = values::time(text).map_err(|error| error.to_string())?;
    if (INTERVALS_NS.0..=INTERVALS_NS.1).contains(&interval_ns) {
        return Ok(interval_ns);
    }
    Err(format!("{text} is no interval to probe a target at: give 10ms to 1d"))
}

fn flow_count(text: &str) -> Result<u16, String> {
    values::number(text, 1, MOST_FLOWS).map(|flows| flows as u16).map_err(|error| error.to_string())
}

fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(weight) if (WEIGHTS.0..=WEIGHTS.1).contains(&weight) => Ok(weight),
        _ => Err(format!("{text} is no weight: give a number from {} to {}", WEIGHTS.0, WEIGHTS.1)),
    }
}

fn octal(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) => Ok(mode),
        _ => Err(format!("{text} is no mode: give it octal, in quotes, as \"0600\"")),
    }
}

/// One of the words that a flag takes.
pub(super) fn word<'de, D: Deserializer<'de>, T: clap::ValueEnum>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let read = |text: &str| {
        T::from_str(text, false).map_err(|_| {
            let names = T::value_variants().iter().filter_map(clap::ValueEnum::to_possible_value);
            let names: Vec<String> = names.map(|name| name.get_name().to_owned()).collect();
            format!("\"{text}\" is none of {}", names.join(", "))
        })
    };
    deserializer.deserialize_any(AsFlag(read)).map(Some)
}

/// What freezes packets.
pub(super) fn triggers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Trigger>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    words.iter().map(|word| word.parse().map_err(serde::de::Error::custom)).collect()
}
