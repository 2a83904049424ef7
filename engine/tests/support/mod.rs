//! What the tests of the program share: a lab of one's own, and runs whose summary is read.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

pub const MEGAPING: &str = env!("CARGO_BIN_EXE_megaping");

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the engine has a parent").to_owned()
}

/// The lab's hands, built in the same profile.
pub fn lab_binary() -> String {
    let named = std::env::var("MEGAPING_LAB").map(PathBuf::from);
    let beside = || Path::new(MEGAPING).with_file_name("megaping-lab");
    named.unwrap_or_else(|_| beside()).to_str().expect("UTF-8").to_owned()
}

/// A lab of its own: two namespaces that go away with it, also when a test fails.
pub struct Lab {
    name: String,
}

impl Lab {
    /// Brings one up; `flags` are the world's.
    pub fn up(flags: &[&str]) -> Lab {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let lab = Lab { name: format!("megaping-test-{}-{number}", std::process::id()) };
        lab.script("up", flags);
        lab
    }

    fn script(&self, command: &str, flags: &[&str]) -> String {
        let mut script = Command::new(root().join("scripts/lab"));
        let output =
            script.args([command, "--name", &self.name]).args(flags).output().expect("bash is there");
        assert!(
            output.status.success(),
            "scripts/lab {command} (which needs root and a built megaping-lab): {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("the lab speaks UTF-8")
    }

    /// The namespace of one side, near or far, as a file.
    pub fn namespace(&self, side: &str) -> PathBuf {
        PathBuf::from(format!("/run/netns/{}-{side}", self.name))
    }

    /// A command in the near namespace.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}-near", self.name), program]);
        command
    }

    /// An identifier for `ping -e` that none of so many engines has, once they are all there: ping takes every reply with
    /// its identifier for its own, and one drawn at random is an engine's one time in 64.
    pub fn identifier_beside(&self, engines: usize) -> String {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        loop {
            let sockets = Run::of(self.command("cat").arg("/proc/net/unix")).stdout;
            let number = |line: &str| {
                line.rsplit_once("@megaping-instance-").and_then(|(_, number)| number.parse().ok())
            };
            let taken: Vec<u16> = sockets.lines().filter_map(number).collect();
            if taken.len() >= engines {
                let free = (1..64).find(|number| !taken.contains(number)).expect("one is free");
                return (free << 10).to_string();
            }
            assert!(std::time::Instant::now() < deadline, "no {engines} engines: {taken:?}");
        }
    }

    /// Runs megaping in the near namespace, through raw sockets unless `args` say otherwise.
    pub fn ping(&self, args: &[&str]) -> Run {
        let mut command = self.command(MEGAPING);
        command.env("MEGAPING_BACKEND", "raw");
        Run::of(command.args(["ping", "--summary", "json"]).args(args))
    }

    /// Replaces the world's configuration.
    pub fn set(&self, flags: &[&str]) {
        self.script("set", flags);
    }

    /// Sets the world's counters to zero.
    pub fn reset(&self) {
        self.script("reset", &[]);
    }

    /// What the world saw and did.
    pub fn counters(&self) -> Value {
        serde_json::from_str(&self.script("counters", &["--json"])).expect("the world's counters are JSON")
    }

    /// Starts the slow world.
    pub fn slow(&self, flags: &[&str]) {
        self.script("slow", flags);
    }

    /// Stops the slow world and reads its last counters.
    pub fn slow_stop(&self) -> Value {
        serde_json::from_str(&self.script("slow-stop", &[])).expect("the slow world's counters are JSON")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let mut script = Command::new(root().join("scripts/lab"));
        let _removed = script.args(["down", "--name", &self.name]).output();
    }
}

/// One run of megaping that has ended.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Run {
        Run::from(command.stdin(Stdio::null()).output().expect("the program starts"))
    }

    /// The summary, in which the law of probes holds.
    pub fn summary(&self) -> Value {
        let line = self.stderr.lines().rfind(|line| line.starts_with('{'));
        let line = line.unwrap_or_else(|| panic!("no summary on standard error: {}", self.stderr));
        let summary: Value = serde_json::from_str(line).expect("the summary is JSON");
        let unsent: u64 = summary["unsent"].as_object().expect("an object").values().map(count).sum();
        let placed = ["answered", "errors", "lost", "in_flight"].map(|key| count(&summary[key]));
        assert_eq!(count(&summary["scheduled"]), placed.iter().sum::<u64>() + unsent, "{summary}");
        summary
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A count in JSON.
pub fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

/// The ledger against one family of the world, where nothing is late and the machine itself drops nothing.
pub fn assert_equal(summary: &Value, world: &Value, kernel_drops_corrupt: bool) {
    let of = |key: &str| count(&summary[key]);
    let by = |key: &str| count(&world[key]);
    let zero = Value::from(0);
    assert_eq!(summary["unsent"], serde_json::json!({}), "{summary}");
    assert_eq!(
        (&summary["ring"]["rx_malformed"], &summary["ring"]["rx_dropped"]),
        (&zero, &zero),
        "{summary}"
    );
    assert_eq!(of("sent"), by("requests"), "sent = requests seen");
    assert_eq!(of("answered"), by("replies"), "answered = good replies seen");
    assert_eq!(of("errors"), by("unreachable") + by("time_exceeded"));
    assert_eq!(of("lost"), by("dead") + by("dropped") + by("corrupted"), "{summary} {world}");
    assert_eq!(of("invalid"), if kernel_drops_corrupt { 0 } else { by("corrupted") });
    assert_eq!((of("duplicates"), of("late"), of("in_flight")), (0, 0, 0));
    assert_eq!((by("malformed"), by("failed")), (0, 0), "{world}");
}
