//! Keeps paths and their changes on disk.

use std::path::Path;
use std::time::Instant;

use megaping_store::path::{Before, SHARED, StoredHop, StoredPath, spool_of};
use megaping_store::segment::Kind;
use megaping_store::upload::UploadOptions;
use megaping_store::{Spool, SpoolOptions, StoreError};

use super::assemble::{Hop, Traced};
use super::changes::Change;
use super::output::icmp;
use crate::keeper::{KeepError, LAST_WORK, UPLOAD_AGE, node_name};
use crate::say::say;
use crate::summary::StoreSummary;
use crate::upload::Delivery;

/// A store that is open for paths.
pub struct PathKeeper {
    spool: Spool,
    delivery: Option<Delivery>,
    // Rows that came after the store had failed: accounted for, and gone.
    refused: u64,
    produced: u64,
}

impl PathKeeper {
    /// Opens the store at `dir`, and tells on standard error what an earlier run left torn.
    ///
    /// # Errors
    /// [`KeepError`] when the directory cannot be written or is in use, or nothing can be sent.
    pub fn open(dir: &Path, upload: Option<&UploadOptions>) -> Result<PathKeeper, KeepError> {
        let usual = SpoolOptions::default();
        let segment_age = if upload.is_some() { UPLOAD_AGE } else { usual.segment_age };
        let (node, upload_too) = (node_name(), upload.is_some());
        let options = SpoolOptions { kind: Kind::Paths, node, segment_age, upload: upload_too, ..usual };
        let (spool, recovery) = Spool::open(&spool_of(dir), options)?;
        for (path, bytes) in &recovery.torn {
            say(format_args!(
                "megaping: {}: an earlier run was cut off; the {bytes} bytes that it had begun to write were cut",
                path.display()
            ));
        }
        let delivery = upload.map(|upload| Delivery::start(upload.clone(), spool.shelf())).transpose()?;
        Ok(PathKeeper { spool, delivery, refused: 0, produced: 0 })
    }

    /// Takes a path, and behind it its change where it has changed.
    ///
    /// # Errors
    /// [`StoreError`] when a block cannot be written: the rows are counted as rejected.
    pub fn push(
        &mut self,
        path: &Traced<'_>,
        unix_ns: u64,
        change: Option<&Change>,
    ) -> Result<(), StoreError> {
        self.take(&stored(path, unix_ns))?;
        let Some(change) = change else { return Ok(()) };
        let (before_id, id) = change.ids();
        let before = Before { first_hop: change.first_hop, id: before_id, route: change.before.clone() };
        self.take(&StoredPath { before: Some(before), id, ..stored(path, unix_ns) })
    }

    fn take(&mut self, row: &StoredPath) -> Result<(), StoreError> {
        self.produced += 1;
        self.spool.push_path(row).inspect_err(|_| self.refused += 1)
    }

    /// Counts a path that nobody tries to write, after a failure.
    pub fn refuse(&mut self, change: Option<&Change>) {
        let rows = 1 + u64::from(change.is_some());
        (self.produced, self.refused) = (self.produced + rows, self.refused + rows);
    }

    /// Lets time pass: writes what is old.
    ///
    /// # Errors
    /// [`StoreError`] of the spool.
    pub fn tick(&mut self, now: Instant) -> Result<(), StoreError> {
        self.spool.tick(now)?;
        self.pass_on();
        Ok(())
    }

    fn pass_on(&mut self) {
        if let Some(delivery) = &mut self.delivery {
            delivery.submit(self.spool.take_for_upload());
            delivery.look();
        }
    }

    /// Writes all that is left, sends what there is time for, and says where every row is.
    pub fn close(mut self) -> (StoreSummary, Result<(), StoreError>) {
        let closed = self.spool.close();
        if closed.is_err() {
            self.spool.reject();
        }
        self.pass_on();
        if let Some(delivery) = self.delivery.take() {
            let tally = delivery.close(LAST_WORK);
            if tally.segments_left > 0 {
                say(format_args!(
                    "megaping: {} segments of paths wait for ClickHouse in {}: the next run sends them, or 'megaping upload'",
                    tally.segments_left,
                    self.spool.dir().display()
                ));
            }
        }
        let counters = self.spool.counters();
        let summary = StoreSummary {
            produced: self.produced,
            spooled: counters.spooled,
            rejected: counters.rejected + self.refused,
            ..StoreSummary::default()
        };
        (summary, closed)
    }
}

fn stored(path: &Traced<'_>, unix_ns: u64) -> StoredPath {
    let end = path.end;
    StoredPath {
        unix_ns,
        destination: end.destination,
        flow: end.flow,
        round: end.round,
        reached: end.reached,
        complete: end.complete,
        length: end.length,
        id: path.id,
        probes: path.probes,
        hops: path.hops.iter().map(hop).collect(),
        before: None,
    }
}

fn hop(hop: &Hop) -> StoredHop {
    let answer = icmp(hop).map_or((0, 0), |(_, icmp_type, code)| (icmp_type, code));
    StoredHop {
        ttl: hop.ttl,
        responder: hop.responder,
        rtt_ns: hop.rtt_ns,
        sent: hop.sent,
        received: hop.received,
        icmp: answer,
        reply_hop_limit: hop.reply_hop_limit,
        traffic_class: hop.quoted_traffic_class,
        marks: megaping_probe::trace::HopMarks(hop.marks.0 & !SHARED),
        shared: hop.shared,
        labels: hop.labels.bits().to_vec(),
    }
}
