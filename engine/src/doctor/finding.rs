//! One line of the report.

use serde::Serialize;

/// How good it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is wrong.
    Note,
    /// In the way of something, with its fix.
    Problem,
}

impl Mark {
    /// As it stands before the line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Mark::Ok => "ok",
            Mark::Note => "note",
            Mark::Problem => "problem",
        }
    }
}

/// What it is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words of the report")]
pub enum Area {
    Kernel,
    Ebpf,
    Xdp,
    IoUring,
    Permission,
    Memory,
    Cpu,
    Time,
    Interface,
    Queues,
    Rings,
    Buffers,
    Stamps,
    Cloud,
}

impl Area {
    /// As it stands in the report.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Area::Kernel => "kernel",
            Area::Ebpf => "ebpf",
            Area::Xdp => "xdp",
            Area::IoUring => "io_uring",
            Area::Permission => "permission",
            Area::Memory => "memory",
            Area::Cpu => "cpu",
            Area::Time => "time",
            Area::Interface => "interface",
            Area::Queues => "queues",
            Area::Rings => "rings",
            Area::Buffers => "buffers",
            Area::Stamps => "stamps",
            Area::Cloud => "cloud",
        }
    }
}

/// One line of the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// How good it is.
    pub mark: Mark,
    /// What it is about.
    pub area: Area,
    /// A sentence without its full stop.
    pub text: String,
    /// A command, or a sentence; every problem has one.
    pub fix: Option<String>,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn ok(area: Area, text: impl Into<String>) -> Finding {
        Finding { mark: Mark::Ok, area, text: text.into(), fix: None }
    }

    /// Worth knowing.
    #[must_use]
    pub fn note(area: Area, text: impl Into<String>) -> Finding {
        Finding { mark: Mark::Note, area, text: text.into(), fix: None }
    }

    /// In the way of something.
    #[must_use]
    pub fn problem(area: Area, text: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { mark: Mark::Problem, area, text: text.into(), fix: Some(fix.into()) }
    }

    /// The same with a way to better it.
    #[must_use]
    pub fn with_fix(mut self, fix: impl Into<String>) -> Finding {
        self.fix = Some(fix.into());
        self
    }
}
