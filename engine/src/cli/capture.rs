//! The flags of captures: where packets are shown, to whom, and `megaping capture`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values;
use crate::capture::{CaptureOptions, Trigger};

/// Who may look at the packets of a run, and where.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Capture")]
pub struct CaptureArgs {
    /// Listen on this socket for pcap-dump --via, which shows the packets
    #[arg(long, value_name = "SOCKET", env = "MEGAPING_CAPTURE", hide_env = true)]
    pub capture: Option<PathBuf>,
    /// Keep so many bytes of the newest packets in memory, for megaping capture freeze: 64M
    #[arg(long, value_name = "BYTES", value_parser = values::room, requires = "capture")]
    #[arg(env = "MEGAPING_CAPTURE_KEEP", hide_env = true)]
    pub capture_keep: Option<u64>,
    /// Pin the tap of the program in the kernel here, for pcap-dump --at xdp: /sys/fs/bpf/megaping
    #[arg(long, value_name = "DIR", requires = "capture", env = "MEGAPING_CAPTURE_PIN", hide_env = true)]
    pub capture_pin: Option<PathBuf>,
    /// Members of this group may look on, too
    #[arg(long, value_name = "GROUP", requires = "capture", value_parser = values::group)]
    #[arg(env = "MEGAPING_CAPTURE_GROUP", hide_env = true)]
    pub capture_group: Option<u32>,
    /// Freeze what is kept by itself: invalid (forged answers), loss=20% (of a target's last probes); comma-separated
    #[arg(long, value_name = "WHEN", value_delimiter = ',', requires = "capture_keep")]
    #[arg(env = "MEGAPING_CAPTURE_TRIGGER", hide_env = true)]
    pub capture_trigger: Vec<Trigger>,
    /// Where files of --capture-trigger go
    #[arg(long, value_name = "DIR", default_value = ".", env = "MEGAPING_CAPTURE_DIR", hide_env = true)]
    pub capture_dir: PathBuf,
}

/// What is kept of packets.
#[derive(Args, Debug)]
pub struct CaptureCommand {
    /// What to do
    #[command(subcommand)]
    pub command: CaptureWhat,
}

/// `megaping capture ...`.
#[derive(Subcommand, Debug)]
pub enum CaptureWhat {
    /// Write the packets that an engine has kept into a file
    Freeze(FreezeArgs),
}

/// `megaping capture freeze`.
#[derive(Args, Debug)]
pub struct FreezeArgs {
    /// The socket of the engine: its --capture or control.capture
    #[arg(long, value_name = "SOCKET", env = "MEGAPING_CAPTURE", hide_env = true)]
    #[arg(default_value = "/run/megaping/capture.sock")]
    pub via: PathBuf,
    /// Write them into this file (pcapng), which nobody else may read; - for standard output
    #[arg(short, long, value_name = "FILE")]
    pub write: PathBuf,
}

impl CaptureArgs {
    /// Together.
    #[must_use]
    pub fn options(self) -> Option<CaptureOptions> {
        Some(CaptureOptions {
            socket: self.capture?,
            keep: self.capture_keep.unwrap_or(0),
            pins: self.capture_pin,
            group: self.capture_group,
            tenants: None,
            triggers: self.capture_trigger,
            dir: self.capture_dir,
        })
    }
}
