//! One run: started, watched through a window in its middle, brought to its end, and asked what it did.
//!
//! ```text
//!   start ... first request seen | settle | <------ window ------> | end of sending ... end of the process
//! ```
//!
//! Rates and processor times are those of the window, so that neither start nor end of a tool counts for or against it.
//! What is counted (sent, answered, lost) is that of the whole run.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::cpu;
use super::lab::Lab;
use super::ours;
use super::report::{Case, Measured, Part};
use super::throttle::Throttle;
use super::tool::{End, Tool};
use super::watch::WorldCounts;
use crate::Result;

/// A tool that has sent nothing by then never will.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// A tool that has not ended by then, after the time it was to send for, is killed.
const END_PATIENCE: Duration = Duration::from_secs(30);
/// What has come is taken in by then.
const TAKE_IN: Duration = Duration::from_secs(2);
/// How often a tool is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// From the first request to the window at most, in seconds.
const SETTLE_S: f64 = 0.5;
/// From the window's end to the end of sending, in seconds.
const MARGIN_S: f64 = 0.3;

/// What all runs share.
pub struct Bench {
    /// The lab.
    pub lab: Lab,
    /// Where tools leave their files; emptied before each run.
    pub scratch: PathBuf,
    /// What the machine does by itself, as a share of one processor.
    pub baseline_cores: f64,
    /// Set by SIGINT and SIGTERM.
    pub stop: Arc<AtomicBool>,
}

/// One look at everything.
struct Sample {
    at: Instant,
    world: WorldCounts,
    idle: cpu::Idle,
    process_ns: u64,
}

/// A process that is killed when it is forgotten.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _killed = self.0.kill();
            let _ended = self.0.wait();
        }
    }
}

impl Bench {
    /// Runs a tool once; the command line comes back even when it fails.
    pub fn run(&mut self, tool: Tool, case: &Case, window_s: f64) -> (String, Result<Measured>) {
        let mut line = String::new();
        let result = self.attempt(tool, case, window_s, &mut line);
        (line, result)
    }

    fn attempt(&mut self, tool: Tool, case: &Case, window_s: f64, line: &mut String) -> Result<Measured> {
        let _gone = fs::remove_dir_all(&self.scratch);
        fs::create_dir_all(&self.scratch).map_err(|error| format!("{}: {error}", self.scratch.display()))?;
        self.lab.pass(!tool.brings_program())?;
        self.lab.reset()?;
        let settle_s = (window_s / 5.0).min(SETTLE_S);
        // Tools count from their own start, and some take a while to send.
        let seconds = settle_s + window_s + MARGIN_S + 0.7;
        let words = tool.command(case, seconds, &self.lab, &self.scratch)?;
        *line = words.join(" ");
        let mut running = Running(self.start(&words)?);
        let pid = running.0.id();
        self.until_first_request(&mut running)?;
        let throttle = match case.part {
            Part::Throttled => Some(Throttle::put_on(pid)?),
            _ => None,
        };
        self.rest(settle_s, &mut running)?;
        let before = self.sample(pid)?;
        self.rest(window_s, &mut running)?;
        let after = self.sample(pid)?;
        let status = match tool.end() {
            End::Itself => self.until_end(&mut running)?,
            End::Interrupt => {
                signal(pid, "-INT")?;
                self.until_end(&mut running)?
            }
            End::Kill => {
                signal(pid, "-INT")?;
                std::thread::sleep(TAKE_IN);
                signal(pid, "-KILL")?;
                self.until_end(&mut running)?
            }
        };
        drop(throttle);
        let world = self.lab.counts()?;
        let (stdout, stderr) = (self.left("stdout"), self.left("stderr"));
        let said = tool.own(&stdout, &stderr, &self.scratch);
        let own =
            said.map_err(|error| format!("{error}; it ended with {status} and said: {}", tail(&stderr)))?;
        let mut measured = self.figures(&before, &after, world.requests, own);
        measured.world = world;
        if let Tool::Megaping(_) = tool {
            measured.ours = Some(ours::ours(&stderr, &world)?);
        }
        Ok(measured)
    }

    /// Starts a command in the near namespace; what it prints goes to files, so that no pipe holds it up.
    fn start(&self, words: &[String]) -> Result<Child> {
        let file = |name: &str| File::create(self.scratch.join(name));
        let [ip, rest @ ..] = self.lab.near();
        let mut command = Command::new(ip);
        command.args(rest).args(words).current_dir(&self.scratch).stdin(Stdio::null());
        command.stdout(file("stdout")?).stderr(file("stderr")?);
        command.spawn().map_err(|error| format!("{command:?}: {error}").into())
    }

    fn until_first_request(&mut self, running: &mut Running) -> Result<()> {
        let patience = Instant::now() + START_PATIENCE;
        while self.lab.counts()?.requests == 0 {
            self.still_going(running)?;
            if Instant::now() > patience {
                return Err(format!("no request within {} s", START_PATIENCE.as_secs()).into());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn rest(&self, seconds: f64, running: &mut Running) -> Result<()> {
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        loop {
            self.still_going(running)?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // Seldom: looking costs what is measured.
            std::thread::sleep(left.min(Duration::from_millis(500)));
        }
    }

    fn still_going(&self, running: &mut Running) -> Result<()> {
        self.not_stopped()?;
        match running.0.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!(
                "it ended too early, with {status}: {}{}",
                tail(&self.left("stderr")),
                tail(&self.left("stdout"))
            )
            .into()),
        }
    }

    fn not_stopped(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err("interrupted".into()) } else { Ok(()) }
    }

    fn until_end(&self, running: &mut Running) -> Result<ExitStatus> {
        let patience = Instant::now() + END_PATIENCE;
        loop {
            self.not_stopped()?;
            if let Some(status) = running.0.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > patience {
                return Err(format!("it did not end within {} s", END_PATIENCE.as_secs()).into());
            }
            std::thread::sleep(LOOK);
        }
    }

    fn sample(&mut self, pid: u32) -> Result<Sample> {
        let (process_ns, idle, at) = (cpu::process_ns(pid), cpu::idle()?, Instant::now());
        Ok(Sample { at, world: self.lab.counts()?, idle, process_ns })
    }

    fn figures(&self, before: &Sample, after: &Sample, requests: u64, own: super::report::Own) -> Measured {
        let window_s = after.at.duration_since(before.at).as_secs_f64();
        let in_window = (after.world.requests - before.world.requests) as f64;
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let steal_ns = after.idle.steal_ns.saturating_sub(before.idle.steal_ns) as f64;
        let idle_ns = after.idle.idle_ns.saturating_sub(before.idle.idle_ns) as f64;
        let busy_ns = (cores - self.baseline_cores) * window_s * 1e9 - idle_ns - steal_ns;
        let process_ns = after.process_ns.saturating_sub(before.process_ns) as f64;
        let runs = (after.world.runs - before.world.runs) as f64;
        let poll_ns =
            after.world.poll_ns.zip(before.world.poll_ns).map(|(after, before)| (after - before) as f64);
        let each = |ns: f64| (in_window > 0.0).then(|| tenths(ns / in_window));
        let requests_pps = in_window / window_s;
        Measured {
            window_s: round(window_s, 1e4),
            requests_pps: tenths(requests_pps),
            answered_pps: tenths(requests_pps * own.answered as f64 / requests.max(1) as f64),
            machine_ns: each(busy_ns.max(0.0)),
            process_ns: each(process_ns),
            far_ns: poll_ns.and_then(each),
            process_cores: round(process_ns / window_s / 1e9, 1e5),
            world_ns: (runs > 0.0).then(|| tenths((after.world.run_ns - before.world.run_ns) as f64 / runs)),
            steal_cores: round(steal_ns / window_s / 1e9, 1e4),
            world: after.world,
            own,
            ours: None,
        }
    }

    fn left(&self, name: &str) -> String {
        fs::read(self.scratch.join(name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Measures what the machine does by itself.
    ///
    /// # Errors
    /// When /proc/stat cannot be read.
    pub fn measure_baseline(&mut self, seconds: f64) -> Result<()> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let (before, at) = (cpu::idle()?, Instant::now());
        std::thread::sleep(Duration::from_secs_f64(seconds));
        let (after, window_s) = (cpu::idle()?, at.elapsed().as_secs_f64());
        let away_ns = (after.idle_ns - before.idle_ns + after.steal_ns - before.steal_ns) as f64;
        self.baseline_cores = round((cores - away_ns / window_s / 1e9).max(0.0), 1e4);
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.scratch);
    }
}

fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").args([name, &pid.to_string()]).status()?;
    if status.success() { Ok(()) } else { Err(format!("kill {name} {pid}: {status}").into()) }
}

/// The last of what a tool said.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    let from = lines.len().saturating_sub(3);
    lines[from..].join(" / ").chars().take(500).collect()
}

fn tenths(value: f64) -> f64 {
    round(value, 10.0)
}

fn round(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
