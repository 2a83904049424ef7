//! The `pcap-dump` command.

mod flags;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use pcap_dump::{AttachError, Attached, Error, Files, Kernel, KernelError, Only, Options, Summary, dump};
use signal_hook::consts::{SIGINT, SIGTERM};

use flags::{Args, Tap};

fn main() -> ExitCode {
    let args = Args::parse();
    match (&args.read, &args.via) {
        (Some(path), _) => explain(&args, path),
        (None, Some(socket)) => watch(&args, socket),
        // clap asks for one of them.
        (None, None) => ExitCode::from(2),
    }
}

/// Attaches to an engine and writes what it sees.
fn watch(args: &Args, socket: &Path) -> ExitCode {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&stop)) {
            eprintln!("pcap-dump: signals cannot be caught: {error}");
            return ExitCode::from(2);
        }
    }
    let run = || {
        let expression = args.expression().map_err(AttachError::Flag)?;
        let ask = args.ask().map_err(AttachError::Flag)?;
        if args.at == Tap::Xdp {
            // The engine is asked where; the packets come from the kernel.
            let hello = Attached::to(socket, &ask)?.hello;
            let pins = hello.pins.clone().ok_or(KernelError::NotPinned)?;
            let kernel = Kernel::open(&pins, args.filter(), expression)?;
            let mut files = Files::create(args.output(), hello)?;
            return Ok(kernel.write(&mut files, args.limits(), &stop)?);
        }
        let attached = Attached::to(socket, &ask)?;
        let mut files = Files::create(args.output(), attached.hello.clone())?;
        attached.write(&mut files, expression, args.limits(), &stop)
    };
    match run() {
        Ok(taken) => {
            let counts = taken.counts;
            let line = format!(
                "pcap-dump: {} packets written, {} bytes; of {} that were wanted {} were dropped by a shard's ring and {} by \
                 the socket\n",
                taken.packets, taken.bytes, counts.seen, counts.dropped_ring, counts.dropped_socket
            );
            // Whoever reads may be gone.
            let _ = io::stderr().lock().write_all(line.as_bytes());
            ExitCode::SUCCESS
        }
        Err(AttachError::Output(error)) if error.source.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "pcap-dump: {error}");
            ExitCode::from(2)
        }
    }
}

/// Explains a capture.
fn explain(args: &Args, path: &Path) -> ExitCode {
    let name = if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() };
    let mut summary = Summary::default();
    let result = read(args, path, &mut summary);
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

fn read(args: &Args, path: &Path, summary: &mut Summary) -> Result<(), Error> {
    let input: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(Error::Read)?)
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
