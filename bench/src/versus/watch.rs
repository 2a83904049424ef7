//! What the world counted, read by a process of the far namespace that lives as long as the lab: a reading is a
//! line through a pipe and two calls of bpf(2), so that looking costs the machine nothing that would be measured.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use megaping_loader::{Counter, Meter, World};
use serde::{Deserialize, Serialize};

use crate::Result;

/// What the world says of itself, since the last reset.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldCounts {
    /// Echo requests that came.
    pub requests: u64,
    /// Good replies that it sent.
    pub replies: u64,
    /// ICMP errors that it sent.
    pub errors: u64,
    /// Requests that it left unanswered, or answered with a corrupt reply.
    pub lost: u64,
    /// Runs of its program while `kernel.bpf_stats_enabled` was set (no reset changes it).
    pub runs: u64,
    /// Their time, in nanoseconds.
    pub run_ns: u64,
    /// Time in which its end of the cable was polled, in nanoseconds, where it is taken (no reset changes it).
    #[serde(default)]
    pub poll_ns: Option<u64>,
}

/// The watch's own interface.
#[derive(clap::Args, Clone, Debug)]
pub struct WatchArgs {
    /// The interface that the world is attached to
    pub iface: String,
}

/// Answers each line of standard input with the counts, after it did what the line says: `read`, `reset`, `time` (from now on,
/// how long its end of the cable is polled) or `rest` (no more).
///
/// # Errors
/// When there is no world, or standard output is closed.
pub fn serve(args: &WatchArgs) -> Result<()> {
    let world = World::open(&args.iface)?;
    let mut meter = None;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            "reset" => world.reset()?,
            "time" => {
                let untimed = |error| eprintln!("megaping-bench: the world's own time is not taken: {error}");
                meter = Meter::start(&args.iface).map_err(untimed).ok();
            }
            "rest" => meter = None,
            _ => {}
        }
        let (counters, run) = (world.counters()?, world.run_time()?);
        let of = |counter| counters.total(counter);
        let counts = WorldCounts {
            requests: of(Counter::Requests),
            replies: of(Counter::Replies),
            errors: of(Counter::Unreachable) + of(Counter::TimeExceeded),
            lost: of(Counter::Dropped) + of(Counter::Dead) + of(Counter::Corrupted),
            runs: run.runs,
            run_ns: run.ns,
            poll_ns: meter.as_ref().map(Meter::total_ns).transpose()?,
        };
        serde_json::to_writer(&mut out, &counts)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

/// The other end of [`serve`].
pub struct Watch {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Watch {
    /// Starts the process in a network namespace.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(namespace: &str, iface: &str) -> Result<Watch> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(std::env::current_exe()?).args(["watch", iface]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the watch has no pipes".into());
        };
        Ok(Watch { child, ask: Some(ask), answers: BufReader::new(answers) })
    }

    /// The counts as they are.
    ///
    /// # Errors
    /// When the process has died.
    pub fn read(&mut self) -> Result<WorldCounts> {
        self.say("read\n")
    }

    /// Sets the counts to zero, all but those of the program's runs.
    ///
    /// # Errors
    /// When the process has died.
    pub fn reset(&mut self) -> Result<WorldCounts> {
        self.say("reset\n")
    }

    /// Begins or ends to take the time in which its end of the cable is polled.
    ///
    /// # Errors
    /// When the process has died.
    pub fn time(&mut self, on: bool) -> Result<WorldCounts> {
        self.say(if on { "time\n" } else { "rest\n" })
    }

    fn say(&mut self, word: &str) -> Result<WorldCounts> {
        let ask = self.ask.as_mut().ok_or("the watch has ended")?;
        ask.write_all(word.as_bytes())?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the watch over the world has ended; its error is above".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The end of its input is its end.
        self.ask = None;
        let _ended = self.child.wait();
    }
}
