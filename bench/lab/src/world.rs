//! `megaping-lab world`: the simulated Internet in the kernel.

use std::io::{self, Write};

use clap::{Args, Subcommand, ValueEnum};
use megaping_loader::{Counter, Counters, Family, Quote, World, WorldConfig};
use serde::{Serialize, Serializer};

use crate::error::LabError;
use crate::permille;

const FAMILIES: [(&str, Family); 3] = [("v4", Family::V4), ("v6", Family::V6), ("other", Family::Other)];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Attach it to an interface, the far end of a veth pair
    Attach {
        /// The interface
        iface: String,
        #[command(flatten)]
        behaviour: Behaviour,
    },
    /// Replace the whole configuration; what is not given returns to its default
    Set {
        /// The interface
        iface: String,
        #[command(flatten)]
        behaviour: Behaviour,
    },
    /// Print the counters
    Counters {
        /// The interface
        iface: String,
        /// As JSON: {"v4": {"requests": n, ...}, "v6": {...}, "other": {...}, "total": {...}}
        #[arg(long)]
        json: bool,
    },
    /// Set the counters to zero
    Reset {
        /// The interface
        iface: String,
    },
}

/// How the world behaves; shares are per mille with up to three decimals.
#[derive(Debug, Args)]
#[allow(clippy::struct_field_names)] // the fields are the flags
pub struct Behaviour {
    /// Destinations that never answer
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    dead: u32,
    /// Requests that get lost
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    loss: u32,
    /// Replies with one bit flipped and the old checksum
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    corrupt: u32,
    /// Destinations that answer from their neighbour's address
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    other_address: u32,
    /// Destinations whose last router answers "host unreachable"
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    unreachable: u32,
    /// Shortest path; 1 is a neighbour
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_hops: u8,
    /// Longest path, at most 64 [default: as --min-hops]
    #[arg(long, value_name = "N")]
    max_hops: Option<u8>,
    /// Routers that add an MPLS label stack (RFC 4950) to their errors
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    mpls: u32,
    /// Routers that send no errors
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    silent: u32,
    /// Routers that send a quarter of their errors, as if rate-limited
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    limited: u32,
    /// Hops that are multi-path: the flow decides (ICMP checksum, IPv6 flow label)
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    ecmp: u32,
    /// Next hops that a multi-path hop balances over
    #[arg(long, value_name = "N", default_value_t = 2)]
    ecmp_width: u8,
    /// Routers that quote the address of a NAT as the source
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    nat_source: u32,
    /// Routers that quote another destination
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    nat_destination: u32,
    /// Routers that quote another DSCP or ECN field
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    tos: u32,
    /// Routers that add an interface information object (RFC 5837) to their errors
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    interface: u32,
    /// Routers older than RFC 4884, which leave out the length attribute
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    legacy: u32,
    /// Destinations whose path changes, at --change-at
    #[arg(long, value_name = "PERMILLE", default_value = "0", value_parser = permille::parse)]
    change: u32,
    /// When paths change, in seconds of the monotonic clock (the first number in /proc/uptime, unless suspended)
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    change_at: u64,
    /// How much of a request an error quotes
    #[arg(long, value_enum, default_value = "full")]
    quote: QuoteArg,
    /// Another seed is another Internet
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Check the checksums of all requests, and count the bad ones as malformed
    #[arg(long)]
    verify: bool,
}

/// Seconds, as nanoseconds.
fn seconds(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..1e9).contains(&seconds) => Ok((seconds * 1e9) as u64),
        _ => Err("a number of seconds from 0 on is wanted, as in 1234.5".into()),
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum QuoteArg {
    /// All that the RFCs allow
    Full,
    /// The IP header and eight bytes
    #[value(name = "8")]
    Eight,
}

impl From<Behaviour> for WorldConfig {
    fn from(b: Behaviour) -> WorldConfig {
        WorldConfig {
            seed: b.seed,
            dead_ppm: b.dead,
            unreachable_ppm: b.unreachable,
            other_address_ppm: b.other_address,
            loss_ppm: b.loss,
            corrupt_ppm: b.corrupt,
            mpls_ppm: b.mpls,
            min_hops: b.min_hops,
            max_hops: b.max_hops.unwrap_or(b.min_hops),
            silent_ppm: b.silent,
            limited_ppm: b.limited,
            ecmp_ppm: b.ecmp,
            ecmp_width: b.ecmp_width,
            nat_source_ppm: b.nat_source,
            nat_destination_ppm: b.nat_destination,
            tos_ppm: b.tos,
            interface_ppm: b.interface,
            legacy_ppm: b.legacy,
            change_ppm: b.change,
            change_at_ns: b.change_at,
            quote: match b.quote {
                QuoteArg::Full => Quote::Full,
                QuoteArg::Eight => Quote::Eight,
            },
            verify: b.verify,
        }
    }
}

/// Runs one subcommand.
pub fn run(command: Command) -> Result<(), LabError> {
    match command {
        Command::Attach { iface, behaviour } => {
            let world = World::attach(&iface, &behaviour.into())?;
            if let Some(mode) = world.mode() {
                println!("world: attached to {iface} in {mode}");
            }
        }
        Command::Set { iface, behaviour } => World::open(&iface)?.set_config(&behaviour.into())?,
        Command::Counters { iface, json } => print(&World::open(&iface)?.counters()?, json)?,
        Command::Reset { iface } => World::open(&iface)?.reset()?,
    }
    Ok(())
}

fn print(counters: &Counters, json: bool) -> Result<(), LabError> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, &Report(counters)).map_err(|e| LabError::Output(e.into()))?;
        return writeln!(out).map_err(LabError::Output);
    }
    table(&mut out, counters).map_err(LabError::Output)
}

fn table(out: &mut impl Write, counters: &Counters) -> io::Result<()> {
    writeln!(out, "{:<14}{:>14}{:>14}{:>14}{:>14}", "", "v4", "v6", "other", "total")?;
    for counter in Counter::ALL {
        write!(out, "{:<14}", counter.name())?;
        for (_, family) in FAMILIES {
            write!(out, "{:>14}", counters.get(family, counter))?;
        }
        writeln!(out, "{:>14}", counters.total(counter))?;
    }
    Ok(())
}

/// The counters as JSON, in the order of the ABI.
struct Report<'a>(&'a Counters);

struct Column<F>(F);

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let family = |family| Column(Box::new(move |c| self.0.get(family, c)) as Box<dyn Fn(Counter) -> u64>);
        let total = Column(Box::new(|c| self.0.total(c)) as Box<dyn Fn(Counter) -> u64>);
        let families = FAMILIES.map(|(name, f)| (name, family(f)));
        serializer.collect_map(families.into_iter().chain([("total", total)]))
    }
}

impl<F: Fn(Counter) -> u64> Serialize for Column<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Counter::ALL.map(|c| (c.name(), (self.0)(c))))
    }
}
