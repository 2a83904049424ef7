//! The `pcap-dump` command.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use pcap_dump::{Error, Only, Options, Summary, dump};

const EXAMPLES: &str = "\
Examples:
  pcap-dump --read probes.pcapng
  pcap-dump --read probes.pcap --only malformed
  tcpdump -U -w - icmp or icmp6 | pcap-dump --read - --json

Exit status: 0 when all is well, 1 when a packet was malformed or had a wrong checksum, 2 for an error.";

/// Explains the ICMP and ICMPv6 packets of a capture, and what is wrong with them.
#[derive(Parser, Debug)]
#[command(name = "pcap-dump", version, about, after_help = EXAMPLES, max_term_width = 110)]
struct Args {
    /// Read this pcap or pcapng capture, - for standard input
    #[arg(short, long, value_name = "FILE")]
    read: PathBuf,
    /// Print a JSON object a line, and the summary as one
    #[arg(long)]
    json: bool,
    /// Print these alone; the summary counts everything
    #[arg(long, value_name = "WHICH", value_enum)]
    only: Option<Choice>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Choice {
    /// Malformed packets and wrong checksums
    Malformed,
    /// Echo requests
    Requests,
    /// Echo replies
    Replies,
    /// ICMP errors
    Errors,
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

fn main() -> ExitCode {
    let args = Args::parse();
    let name =
        if args.read.as_os_str() == "-" { "standard input".into() } else { args.read.display().to_string() };
    let mut summary = Summary::default();
    let result = read(&args, &mut summary);
    if result.as_ref().is_err_and(Error::is_broken_pipe) {
        return ExitCode::from(u8::from(summary.is_bad()));
    }
    // Standard error may be closed as well, and then nobody is left to be told.
    let mut stderr = io::stderr().lock();
    if let Err(error) = &result {
        let _ = writeln!(stderr, "pcap-dump: {name}: {error}");
    }
    if result.is_ok() || summary.packets > 0 {
        let _ = if args.json {
            serde_json::to_writer(&mut stderr, &summary)
                .map_err(io::Error::from)
                .and_then(|()| writeln!(stderr))
        } else {
            writeln!(stderr, "{summary}")
        };
    }
    ExitCode::from(if result.is_err() { 2 } else { u8::from(summary.is_bad()) })
}

fn read(args: &Args, summary: &mut Summary) -> Result<(), Error> {
    let input: Box<dyn Read> = if args.read.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(&args.read).map_err(Error::Read)?)
    };
    let options = Options { json: args.json, only: args.only.map(Only::from) };
    let stdout = io::stdout();
    // A terminal wants each line at once: there may be a live capture at the other end.
    let mut out: Box<dyn Write> =
        if stdout.is_terminal() { Box::new(stdout.lock()) } else { Box::new(BufWriter::new(stdout.lock())) };
    let result = dump(input, options, &mut out, summary);
    let flushed = out.flush().map_err(Error::Write);
    result.and(flushed)
}
