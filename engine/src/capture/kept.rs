//! The newest packets, as frames: what there is to be frozen.

use std::collections::VecDeque;

use megaping_capture::{Captured, Filter, Frame};

/// Keeps as much as it may.
#[derive(Debug, Default)]
pub(super) struct Kept {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    most: usize,
}

impl Kept {
    /// Keeps at most so many bytes of frames.
    pub fn new(most: usize) -> Kept {
        Kept { most, ..Kept::default() }
    }

    /// Whether anything is kept.
    pub fn keeps(&self) -> bool {
        self.most > 0
    }

    /// Keeps a packet, and lets go of the oldest where there is no room.
    pub fn push(&mut self, captured: &Captured) {
        let mut frame = Vec::with_capacity(captured.bytes.len() + 160);
        captured.write(&mut frame);
        self.bytes += frame.len();
        self.frames.push_back(frame);
        while self.bytes > self.most {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    /// Appends all of it, or what belongs to a tenant, to `out`.
    pub fn write(&self, tenant: Option<&str>, out: &mut Vec<u8>) {
        let filter = Filter { tenants: tenant.map(str::to_owned).into_iter().collect(), ..Filter::default() };
        for frame in &self.frames {
            if tenant.is_none() || packet(frame).is_some_and(|it| filter.wants_names(&it.tenant, "")) {
                out.extend_from_slice(frame);
            }
        }
    }

    /// What is kept, the oldest first.
    pub fn packets(&self) -> impl Iterator<Item = Captured> + '_ {
        self.frames.iter().filter_map(|frame| packet(frame))
    }
}

/// What was written here can be read.
fn packet(frame: &[u8]) -> Option<Captured> {
    match Frame::read(frame) {
        Ok(Some((Frame::Packet(packet), _))) => Some(*packet),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::tests::captured;

    #[test]
    fn the_newest_are_kept_and_a_tenant_gets_its_own() {
        let mut kept = Kept::new(2000);
        for number in 0..100 {
            let tenant = if number % 2 == 0 { "acme" } else { "other" };
            kept.push(&Captured { time_ns: number, tenant: tenant.into(), ..captured() });
        }
        let times: Vec<u64> = kept.packets().map(|packet| packet.time_ns).collect();
        assert!(times.len() > 5 && times.len() < 30, "{times:?}");
        assert!(times.is_sorted() && times.last() == Some(&99));
        let (mut all, mut own) = (Vec::new(), Vec::new());
        kept.write(None, &mut all);
        kept.write(Some("acme"), &mut own);
        assert!(own.len() * 2 <= all.len() + 200 && !own.windows(5).any(|five| five == b"other"));
    }
}
