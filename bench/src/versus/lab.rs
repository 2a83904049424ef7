//! The lab that everything runs on: two namespaces of its own, which go away with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::watch::{Watch, WorldCounts};
use crate::Result;
use crate::cost::finished;

/// MAC address of the lab's far end, as `scripts/lab` sets it.
pub const FAR_MAC: &str = "02:00:00:00:00:0b";
/// Addresses of the near end.
pub const NEAR_V4: &str = "198.18.0.2";
/// Likewise.
pub const NEAR_V6: &str = "fd00:6d70::2";

/// A lab that is up.
pub struct Lab {
    // Dropped first: the watch lives in the far namespace.
    watch: Option<Watch>,
    name: String,
    binaries: PathBuf,
}

impl Lab {
    /// Brings one up.
    ///
    /// # Errors
    /// Without root, or without a built `megaping-lab` beside this program.
    pub fn up(name: &str) -> Result<Lab> {
        let itself = std::env::current_exe()?;
        let binaries = itself.parent().map(Path::to_owned).ok_or("this program lies nowhere")?;
        let mut lab = Lab { watch: None, name: name.to_owned(), binaries };
        lab.script("up", &[])?;
        lab.watch = Some(Watch::start(&format!("{name}-far"), "far")?);
        Ok(lab)
    }

    /// A program that was built beside this one.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// The words before a command that make it run in the near namespace.
    pub fn near(&self) -> [String; 4] {
        ["ip", "netns", "exec", &format!("{}-near", self.name)].map(str::to_owned)
    }

    /// Replaces the world's behaviour.
    ///
    /// # Errors
    /// What `scripts/lab set` says.
    pub fn set(&self, flags: &[&str]) -> Result<()> {
        self.script("set", flags)
    }

    /// The near end needs a program that passes frames, unless a tool brings its own, for which it must go. Tools take it
    /// off themselves, or leave it on, so that what is there is not remembered.
    ///
    /// # Errors
    /// What `megaping-lab pass` says, unless all is as it should be.
    pub fn pass(&self, wanted: bool) -> Result<()> {
        let [ip, rest @ ..] = self.near();
        let mut command = Command::new(ip);
        command.args(rest).arg(self.binary("megaping-lab"));
        command.args(["pass", if wanted { "attach" } else { "detach" }, "near"]);
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let is_so = if wanted { "`megaping_pass` (id" } else { "does not run `megaping_pass`" };
        if output.status.success() || said.contains(is_so) { Ok(()) } else { Err(said.trim().into()) }
    }

    /// What the world counted.
    ///
    /// # Errors
    /// When its watch has died.
    pub fn counts(&mut self) -> Result<WorldCounts> {
        self.watch.as_mut().ok_or("the lab is down")?.read()
    }

    /// Sets the world's counters to zero.
    ///
    /// # Errors
    /// When its watch has died.
    pub fn reset(&mut self) -> Result<()> {
        self.watch.as_mut().ok_or("the lab is down")?.reset().map(|_| ())
    }

    /// Begins or ends to take the time that the far end of the cable costs.
    ///
    /// # Errors
    /// When its watch has died.
    pub fn time(&mut self, on: bool) -> Result<()> {
        self.watch.as_mut().ok_or("the lab is down")?.time(on).map(|_| ())
    }

    fn script(&self, command: &str, flags: &[&str]) -> Result<()> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/lab");
        let mut script = Command::new(path);
        script.env("MEGAPING_LAB", self.binary("megaping-lab")).args([command, "--name", &self.name]);
        finished(with(script, flags)).map(|_| ())
    }
}

fn with(mut command: Command, args: &[&str]) -> Command {
    command.args(args);
    command
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.watch = None;
        if let Err(error) = self.script("down", &[]) {
            eprintln!("megaping-bench: {error}");
        }
    }
}
