//! Keeps each tenant's outcomes in a store of its own: `DIR/TENANT`, whole as that of `megaping ping --store`.
//!
//! A tenant's store is read, sent, archived and thrown away without looking at another's, by the commands that there
//! are for it, and one that is damaged or full is no other's trouble.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use megaping_probe::Outcome;
use megaping_store::StoreError;

use super::roster::SharedRoster;
use crate::cli::PingOptions;
use crate::keeper::{Keep, KeepError, Keeper, Kept};
use crate::say::say;

/// The stores of all tenants; opened when their first rows come.
pub struct TenantKeepers {
    /// How a tenant's store is, its place and name aside.
    options: PingOptions,
    /// Where they all are; none where nothing is kept.
    dir: Option<PathBuf>,
    roster: SharedRoster,
    /// By account.
    keepers: BTreeMap<usize, Account>,
    /// Rows of probes that are nobody's, or whose store does not open.
    refused: u64,
    complaint: Complaint,
    /// Accounts whose stores are open.
    opened: usize,
    /// When one could not be opened.
    failed: Option<Instant>,
}

/// What is wrong with stores is said so often at most.
const COMPLAIN_AGAIN: Duration = Duration::from_mins(1);
/// One that cannot be opened is tried again after this time.
const OPEN_AGAIN: Duration = Duration::from_secs(5);

struct Account {
    keeper: Option<Box<Keeper>>,
    rows: Vec<Outcome>,
}

impl TenantKeepers {
    /// Stores below `options.store`, with everything else as `options` say.
    #[must_use]
    pub fn new(options: &PingOptions, roster: SharedRoster) -> TenantKeepers {
        let dir = options.store.clone();
        TenantKeepers {
            options: options.clone(),
            dir,
            roster,
            keepers: BTreeMap::new(),
            refused: 0,
            complaint: Complaint::default(),
            opened: 0,
            failed: None,
        }
    }

    /// Opens the stores of all tenants that have none, so that one that cannot be opened is known before the first probe.
    ///
    /// # Errors
    /// [`KeepError`] of the first that cannot be.
    pub fn open(&mut self) -> Result<(), KeepError> {
        let tenants: Vec<_> = self.roster.lock().accounts().iter().map(|(name, _)| name.clone()).collect();
        for (account, tenant) in tenants.iter().enumerate() {
            if self.keepers.get(&account).is_none_or(|account| account.keeper.is_none()) {
                let keeper = Keeper::open_among(&self.of(tenant), tenants.len())?.map(Box::new);
                self.keepers.insert(account, Account { keeper, rows: Vec::new() });
            }
        }
        Ok(())
    }

    /// The same while probes fly: for tenants that came with a new configuration.
    fn open_new(&mut self) {
        let known = self.roster.lock().accounts().len();
        let is_soon = self.failed.is_some_and(|failed| failed.elapsed() < OPEN_AGAIN);
        if known > self.opened && !is_soon {
            match self.open() {
                Ok(()) => (self.opened, self.failed) = (known, None),
                Err(error) => {
                    self.complaint.say(&error);
                    self.failed = Some(Instant::now());
                }
            }
        }
    }

    fn of(&self, tenant: &str) -> PingOptions {
        let store = self.dir.as_ref().map(|dir| dir.join(tenant));
        let mut options = PingOptions { store, tenant: tenant.to_owned(), ..self.options.clone() };
        if let Some(upload) = &mut options.upload {
            tenant.clone_into(&mut upload.tenant);
        }
        options
    }

    /// Sorts rows by account.
    fn sort(&mut self, rows: &[Outcome]) {
        let mut roster = self.roster.lock();
        for row in rows {
            let Some(account) = roster.count(row) else {
                self.refused += 1;
                continue;
            };
            let account =
                self.keepers.entry(account).or_insert_with(|| Account { keeper: None, rows: Vec::new() });
            // In the tenant's own store a target is a number in its list.
            account.rows.push(Outcome { target: row.target & u64::from(u32::MAX), ..*row });
        }
    }
}

impl Keep for TenantKeepers {
    /// Never fails: a store that does not take its rows costs its own tenant those rows, which are counted, and nobody
    /// else anything.
    fn push(&mut self, rows: &[Outcome], unix_offset_ns: u64) -> Result<(), StoreError> {
        // A tenant has an account before its first probe leaves, and a store before its first row comes.
        self.open_new();
        self.sort(rows);
        let TenantKeepers { keepers, refused, complaint, .. } = self;
        for account in keepers.values_mut().filter(|account| !account.rows.is_empty()) {
            match &mut account.keeper {
                Some(keeper) => {
                    if let Err(error) = keeper.push(&account.rows, unix_offset_ns) {
                        complaint.say(&error);
                    }
                }
                None => *refused += account.rows.len() as u64,
            }
            account.rows.clear();
        }
        Ok(())
    }

    fn refuse(&mut self, rows: &[Outcome]) {
        self.refused += rows.len() as u64;
    }

    fn tick(&mut self, now: Instant) -> Result<(), StoreError> {
        let TenantKeepers { keepers, complaint, .. } = self;
        for keeper in keepers.values_mut().filter_map(|account| account.keeper.as_deref_mut()) {
            if let Err(error) = keeper.tick(now) {
                complaint.say(&error);
            }
        }
        Ok(())
    }

    /// Only when nobody has room: one tenant's full store is no reason to leave out others' probes.
    fn is_shedding(&self) -> bool {
        let mut open = self.keepers.values().filter_map(|account| account.keeper.as_deref()).peekable();
        open.peek().is_some() && open.all(Keep::is_shedding)
    }

    fn close(self: Box<Self>) -> (Kept, Result<(), StoreError>) {
        let mut all = Kept::default();
        let mut first = Ok(());
        all.store.rejected = self.refused;
        for keeper in self.keepers.into_values().filter_map(|account| account.keeper) {
            let (kept, closed) = keeper.close();
            all.add(&kept);
            first = first.and(closed);
        }
        (all, first)
    }
}

/// Says what is wrong with a store, and not again and again.
#[derive(Default)]
struct Complaint {
    said: Option<Instant>,
}

impl Complaint {
    fn say(&mut self, error: &dyn std::error::Error) {
        if self.said.is_none_or(|said| said.elapsed() >= COMPLAIN_AGAIN) {
            say(format_args!(
                "megaping: {error} (its tenant's results are counted as rejected until it can)"
            ));
            self.said = Some(Instant::now());
        }
    }
}
