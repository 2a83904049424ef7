//! The flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Parser, ValueEnum};
use megaping_capture::pcapng::Link;
use megaping_capture::{Ask, Direction, Filter, Prefix, Verdict};
use pcap_dump::{Expression, Format, Limits, Only, Output};

const EXAMPLES: &str = "\
With --read it explains a capture; with --via it writes what the shards of a running engine see, which tcpdump cannot
where AF_XDP or the kernel ring take packets: start megaping with --capture SOCKET, or set control.capture.

Verdicts: sent, matched, error, duplicate, late, corrupt, invalid_mac, foreign, malformed, handed_over; with --at xdp
sent (kernel ring), redirected, passed, foreign, malformed, dropped.

Examples:
  pcap-dump --read probes.pcapng
  tcpdump -U -w - icmp or icmp6 | pcap-dump --read - --json
  pcap-dump --via capture.sock -w probes.pcapng -c 10000
  pcap-dump --via capture.sock -w - --verdict late,duplicate | tshark -r -
  pcap-dump --via capture.sock --frozen -w before-it-happened.pcapng
  pcap-dump --via capture.sock --at xdp --verdict passed,malformed not tcp port 22
  pcap-dump --via capture.sock --format text --target 192.0.2.0/24 --sample 100

Exit status: 0 when all is well, 1 when a packet of --read was malformed or had a wrong checksum, 2 for an error.";

/// Explains the ICMP and ICMPv6 packets of a capture, and captures those of a running engine.
#[derive(Parser, Debug)]
#[command(name = "pcap-dump", version, about, after_help = EXAMPLES, max_term_width = 110)]
#[command(group(ArgGroup::new("source").required(true).args(["read", "via"])))]
pub struct Args {
    /// Read this pcap or pcapng capture, - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub read: Option<PathBuf>,
    /// Print a JSON object a line, and the summary as one
    #[arg(long, conflicts_with = "via")]
    pub json: bool,
    /// Print these alone; the summary counts everything
    #[arg(long, value_name = "WHICH", value_enum, conflicts_with = "via")]
    pub only: Option<Choice>,

    /// Attach to the engine that listens on this socket
    #[arg(long, value_name = "SOCKET", help_heading = "Capture")]
    pub via: Option<PathBuf>,
    /// Show the token of a tenant, the first line of this file, and see that tenant's packets
    #[arg(long, value_name = "FILE", help_heading = "Capture", requires = "via")]
    pub token_file: Option<PathBuf>,
    /// Where to look: engine (its rings), or xdp (the program in the kernel: all that arrives, with its verdict)
    #[arg(long, value_name = "TAP", help_heading = "Capture", requires = "via", default_value = "engine")]
    #[arg(hide_possible_values = true)]
    pub at: Tap,
    /// Only packets that pass this filter of pcap-filter(7), as in: icmp and host 192.0.2.7
    #[arg(value_name = "FILTER", requires = "via", trailing_var_arg = true)]
    pub expression: Vec<String>,
    /// Write the packets that the engine has kept (--capture-keep), instead of those to come
    #[arg(long, help_heading = "Capture", requires = "via")]
    pub frozen: bool,
    /// Write into this file, which nobody else may read; - for standard output [default: -]
    #[arg(short, long, value_name = "FILE", help_heading = "Capture", requires = "via")]
    pub write: Option<PathBuf>,
    /// Form of the capture: pcapng, pcap or text [default: pcapng, and text on standard output without -w]
    #[arg(
        long,
        value_name = "FORMAT",
        help_heading = "Capture",
        requires = "via",
        hide_possible_values = true
    )]
    pub format: Option<FormatName>,
    /// Compress with zstd
    #[arg(long, help_heading = "Capture", requires = "via")]
    pub zstd: bool,
    /// Bytes of a packet that are kept, from the IP header on [default: all]
    #[arg(short, long, value_name = "BYTES", help_heading = "Capture", requires = "via")]
    pub snaplen: Option<u32>,
    /// Stop after so many packets
    #[arg(short, long, value_name = "N", help_heading = "Capture", requires = "via")]
    pub count: Option<u64>,
    /// Stop after so many bytes of packets
    #[arg(long, value_name = "BYTES", help_heading = "Capture", requires = "via")]
    pub max_bytes: Option<u64>,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS", help_heading = "Capture", requires = "via", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Another file after so many millions of bytes
    #[arg(short = 'C', value_name = "MB", help_heading = "Capture", requires = "write")]
    pub rotate_mb: Option<u64>,
    /// Another file after so many seconds; FILE is a pattern, as in probes-%H%M%S.pcapng
    #[arg(short = 'G', value_name = "SECONDS", help_heading = "Capture", requires = "write", value_parser = seconds)]
    pub rotate_time: Option<Duration>,
    /// So many files: with -C they take turns, with -G it stops
    #[arg(short = 'W', value_name = "N", help_heading = "Capture", requires = "write")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub files: Option<u64>,

    /// Only probes of these tenants
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Which packets",
        value_delimiter = ',',
        requires = "via"
    )]
    pub tenant: Vec<String>,
    /// Only probes of these measurements
    #[arg(
        long,
        value_name = "NAME",
        help_heading = "Which packets",
        value_delimiter = ',',
        requires = "via"
    )]
    pub measurement: Vec<String>,
    /// Only probes to these addresses or blocks
    #[arg(
        long,
        value_name = "BLOCK",
        help_heading = "Which packets",
        value_delimiter = ',',
        requires = "via"
    )]
    pub target: Vec<Prefix>,
    /// Only packets of which the engine made this
    #[arg(
        long,
        value_name = "VERDICT",
        help_heading = "Which packets",
        value_delimiter = ',',
        requires = "via"
    )]
    pub verdict: Vec<Verdict>,
    /// Only what leaves, or what arrives: out or in
    #[arg(
        long,
        value_name = "WAY",
        help_heading = "Which packets",
        requires = "via",
        hide_possible_values = true
    )]
    pub direction: Option<Way>,
    /// Only these types of ICMP or ICMPv6
    #[arg(
        long,
        value_name = "TYPE",
        help_heading = "Which packets",
        value_delimiter = ',',
        requires = "via"
    )]
    pub icmp_type: Vec<u8>,
    /// Of so many probes one, with all that answers it
    #[arg(long, value_name = "N", help_heading = "Which packets", requires = "via", default_value = "1")]
    pub sample: u32,
}

/// What is printed of a capture.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum Choice {
    /// Malformed packets and wrong checksums
    Malformed,
    /// Echo requests
    Requests,
    /// Echo replies
    Replies,
    /// ICMP errors
    Errors,
}

/// The form of a capture.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum FormatName {
    /// With comments
    Pcapng,
    /// Packets alone
    Pcap,
    /// Lines
    Text,
}

/// Where to look.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tap {
    /// The rings of the shards
    Engine,
    /// The program in the kernel
    Xdp,
}

/// Which way a packet goes.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum Way {
    /// It arrived
    In,
    /// It left
    Out,
}

impl From<Choice> for Only {
    fn from(choice: Choice) -> Only {
        match choice {
            Choice::Malformed => Only::Malformed,
            Choice::Requests => Only::Requests,
            Choice::Replies => Only::Replies,
            Choice::Errors => Only::Errors,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "a number of seconds is wanted, as in 10 or 0.5".to_owned())
}

impl Args {
    /// What the engine is asked for.
    ///
    /// # Errors
    /// That there is no token in its file.
    pub fn ask(&self) -> Result<Ask, String> {
        let ask = match (self.at, self.frozen) {
            (Tap::Xdp, _) => Ask::Hello,
            (Tap::Engine, true) => Ask::Freeze,
            (Tap::Engine, false) => Ask::Attach(self.filter()),
        };
        let Some(path) = &self.token_file else { return Ok(ask) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
        let token = text.lines().next().unwrap_or_default().trim().to_owned();
        Ok(Ask::WithToken { token, ask: Box::new(ask) })
    }

    /// Which packets.
    pub fn filter(&self) -> Filter {
        Filter {
            tenants: self.tenant.clone(),
            measurements: self.measurement.clone(),
            targets: self.target.clone(),
            verdicts: self.verdict.clone(),
            direction: self.direction.map(|way| match way {
                Way::In => Direction::In,
                Way::Out => Direction::Out,
            }),
            icmp_types: self.icmp_type.clone(),
            sample: self.sample,
            snaplen: self.snaplen.unwrap_or(0),
        }
    }

    /// What packets begin with there.
    pub fn link(&self) -> Link {
        match self.at {
            Tap::Engine => Link::Raw,
            Tap::Xdp => Link::Ethernet,
        }
    }

    /// The filter of pcap-filter(7), compiled.
    ///
    /// # Errors
    /// What libpcap has against it.
    pub fn expression(&self) -> Result<Option<Expression>, String> {
        let text = self.expression.join(" ");
        (!text.is_empty()).then(|| Expression::new(&text, self.link())).transpose()
    }

    /// Where to.
    pub fn output(&self) -> Output {
        let format = match self.format {
            Some(FormatName::Pcap) => Format::Pcap,
            Some(FormatName::Text) => Format::Text,
            None if self.write.is_none() => Format::Text,
            Some(FormatName::Pcapng) | None => Format::Pcapng,
        };
        Output {
            path: self.write.clone().filter(|path| path.as_os_str() != "-"),
            format,
            link: self.link(),
            snaplen: self.snaplen.unwrap_or(0),
            zstd: self.zstd,
            rotate_bytes: self.rotate_mb.map(|mb| mb.saturating_mul(1_000_000)),
            rotate_time: self.rotate_time,
            files: self.files,
        }
    }

    /// When to stop.
    pub fn limits(&self) -> Limits {
        Limits { packets: self.count, bytes: self.max_bytes, time: self.duration }
    }
}
