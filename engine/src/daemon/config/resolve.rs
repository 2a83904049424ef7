//! From what is written to what is meant: defaults filled in, targets resolved, limits held.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use megaping_probe::work::Class;
use megaping_wire::Addr;
use toml::Spanned;

use super::error::{ConfigError, Problem, Text};
use super::{Loaded, file};
use crate::daemon::agenda::{Agenda, Measurement, Tenant};
use crate::daemon::remote::{self, Remote};
use crate::targets::{Area, TargetBuilder, TargetError};

/// Where the file does not say.
const INTERVAL_NS: u64 = 1_000_000_000;
pub(super) const TIMEOUT_NS: u64 = 1_000_000_000;
pub(super) const SIZE: u16 = 32;
pub(super) const HOP_LIMIT: u8 = 64;
/// Each address is held in memory: a measurement of more is two by mistake.
const MOST_TARGETS: u64 = 1 << 24;
/// A slot's names are looked at one by one.
const MOST_MEASUREMENTS: usize = 100_000;
const LONGEST_NAME: usize = 64;

/// Reads one file and all that it names, and gathers what is wrong.
pub(super) struct Reader<'a> {
    text: &'a Text<'a>,
    /// Lists are named from here.
    pub(super) base: PathBuf,
    remote: &'a Remote,
    files: Vec<PathBuf>,
    urls: Vec<String>,
    problems: Vec<Problem>,
    notes: Vec<String>,
}

/// What a tenant may probe.
struct Limits {
    allow: Option<Area>,
    deny: Area,
    left: u64,
}

pub(super) fn resolve(
    path: &Path,
    text: &Text<'_>,
    file: &file::File,
    remote: &Remote,
) -> Result<Loaded, ConfigError> {
    let base = path.parent().map(Path::to_owned).unwrap_or_default();
    let mut reader = Reader {
        text,
        base,
        remote,
        files: vec![path.to_owned()],
        urls: Vec::new(),
        problems: Vec::new(),
        notes: Vec::new(),
    };
    let lists: Vec<PathBuf> = file.exclude.files.iter().map(|list| reader.list(list)).collect();
    let excluded = reader.area(&file.exclude.targets, &lists);
    let (tenants, mut limits) = reader.tenants(&file.tenant);
    let places: HashMap<&str, usize> =
        tenants.iter().enumerate().map(|(at, tenant)| (tenant.name.as_str(), at)).collect();
    let mut measurements = Vec::new();
    let mut names = BTreeSet::new();
    for measurement in file.measurement.iter().take(MOST_MEASUREMENTS) {
        let Some(&tenant) = places.get(measurement.tenant.get_ref().as_str()) else {
            let name = measurement.tenant.get_ref();
            reader.wrong(
                &measurement.tenant,
                format!("there is no tenant \"{name}\": add a [[tenant]] of that name"),
            );
            continue;
        };
        reader.check_name(&measurement.name);
        if !names.insert((tenant, measurement.name.get_ref().clone())) {
            let name = measurement.name.get_ref();
            reader.wrong(
                &measurement.name,
                format!("the tenant has a measurement \"{name}\" already: name it otherwise"),
            );
        }
        let targets = reader.targets(measurement, &excluded, &mut limits[tenant]);
        measurements.push(meant(measurement, tenant, targets));
    }
    if file.measurement.len() > MOST_MEASUREMENTS {
        let last = &file.measurement[MOST_MEASUREMENTS].name;
        reader.wrong(
            last,
            format!("more than {MOST_MEASUREMENTS} measurements: give one measurement more targets"),
        );
    }
    let agenda = Agenda { tenants, measurements };
    let options = reader.options(file, &agenda);
    let control = reader.control(file);
    let Reader { files, urls, problems, notes, .. } = reader;
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let mut addresses: Vec<Addr> =
        agenda.measurements.iter().flat_map(|m| m.targets.iter().copied()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(Loaded { options, control, agenda, addresses: addresses.into(), files, urls, notes })
}

fn meant(written: &file::Measurement, tenant: usize, targets: Arc<[Addr]>) -> Measurement {
    Measurement {
        tenant,
        name: written.name.get_ref().clone(),
        interval_ns: written.interval.unwrap_or(INTERVAL_NS),
        rounds: written.count,
        class: Class {
            payload_len: written.size.unwrap_or(SIZE),
            traffic_class: written.dscp.unwrap_or(0) << 2,
            timeout_ns: written.timeout.unwrap_or(TIMEOUT_NS),
        },
        hop_limit: written.hop_limit.unwrap_or(HOP_LIMIT),
        flows: written.flows.unwrap_or(1),
        labels: written.labels.clone(),
        targets,
    }
}

impl Reader<'_> {
    pub(super) fn wrong<T>(&mut self, what: &Spanned<T>, message: impl Into<String>) {
        self.problems.push(self.text.problem(&what.span(), message));
    }

    /// A list, which is watched from now on.
    fn list(&mut self, path: &Path) -> PathBuf {
        let path = match remote::url_of(path).map(|url| (url, self.remote.copy(url))) {
            None => self.base.join(path),
            Some((url, Ok(copy))) => {
                self.urls.push(url.to_owned());
                self.notes.extend(copy.note);
                copy.path
            }
            // That it cannot be read is told again by whoever reads it.
            Some((_, Err(why))) => {
                self.problems.push(Problem::new("", None, why));
                return path.to_owned();
            }
        };
        self.files.push(path.clone());
        path
    }

    fn area(&mut self, items: &[Spanned<String>], lists: &[PathBuf]) -> Area {
        let items = items.iter().map(|item| (item.get_ref().as_str(), self.text.item_place(&item.span())));
        Area::read(items, lists.iter().map(PathBuf::as_path)).unwrap_or_else(|error| {
            self.problems.push(Problem::new("", None, error.to_string()));
            Area::default()
        })
    }

    /// A name is a directory's, a label's and a part of a URL.
    fn check_name(&mut self, name: &Spanned<String>) {
        let text = name.get_ref();
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > LONGEST_NAME || text.starts_with('.') || !text.bytes().all(is_good)
        {
            self.wrong(
                name,
                format!(
                    "{text:?} is no name: give 1 to {LONGEST_NAME} letters, digits, '.', '_' or '-', and no '.' in front"
                ),
            );
        }
    }

    fn tenants(&mut self, written: &[file::Tenant]) -> (Vec<Tenant>, Vec<Limits>) {
        let mut names = BTreeSet::new();
        let (mut tenants, mut limits) = (Vec::new(), Vec::new());
        for tenant in written {
            let name = tenant.name.get_ref();
            self.check_name(&tenant.name);
            if !names.insert(name.as_str()) {
                self.wrong(&tenant.name, format!("there is a tenant \"{name}\" already: name it otherwise"));
            }
            let allow = tenant.allow.as_ref().map(|allow| self.area(allow, &[]));
            let deny = self.area(&tenant.deny, &[]);
            limits.push(Limits { allow, deny, left: tenant.max_targets.unwrap_or(u64::MAX) });
            tenants.push(Tenant {
                name: name.clone(),
                weight: tenant.weight.unwrap_or(1.0),
                max_pps: tenant.max_pps.map(|pps| pps as f64),
                paused: tenant.paused,
            });
        }
        (tenants, limits)
    }

    fn targets(&mut self, written: &file::Measurement, excluded: &Area, limits: &mut Limits) -> Arc<[Addr]> {
        let nothing = || Arc::from([]);
        let mut builder = TargetBuilder::new(None);
        let mut problems = Vec::new();
        let mut note = |error: TargetError| problems.push(Problem::new("", None, error.to_string()));
        for item in &written.targets {
            builder.add(item.get_ref(), &self.text.item_place(&item.span())).unwrap_or_else(&mut note);
        }
        for file in &written.files {
            builder.add_list(&self.list(file)).unwrap_or_else(&mut note);
        }
        if written.targets.is_empty() && written.files.is_empty() {
            self.wrong(
                &written.name,
                "nothing to measure: give it targets = [\"192.0.2.1\"], or files = [\"PATH\"]",
            );
            return nothing();
        }
        if !problems.is_empty() {
            self.problems.append(&mut problems);
            return nothing();
        }
        builder.exclude_area(excluded);
        let set = match builder.build() {
            Ok(set) => set,
            // Whoever opted out must not stop others.
            Err(TargetError::AllExcluded { .. }) => {
                let (tenant, name) = (written.tenant.get_ref(), written.name.get_ref());
                self.notes.push(format!("{tenant}/{name}: every target is excluded, so nothing is measured"));
                return nothing();
            }
            Err(error) => {
                self.wrong(&written.name, error.to_string());
                return nothing();
            }
        };
        if set.len() > MOST_TARGETS {
            self.wrong(
                &written.name,
                format!("{} targets, and a measurement takes {MOST_TARGETS}: divide it", set.len()),
            );
            return nothing();
        }
        let mut targets: Vec<Addr> = (0..set.len()).map(|at| set.get(at)).collect();
        targets.sort_unstable();
        self.check_limits(written, &targets, limits);
        targets.into()
    }

    fn check_limits(&mut self, written: &file::Measurement, targets: &[Addr], limits: &mut Limits) {
        let tenant = written.tenant.get_ref();
        let is_barred = |target: &&Addr| {
            limits.deny.has(target) || limits.allow.as_ref().is_some_and(|allow| !allow.has(target))
        };
        if let Some(barred) = targets.iter().find(is_barred) {
            self.wrong(
                &written.name,
                format!("tenant \"{tenant}\" may not probe {barred}: see its allow and deny"),
            );
        }
        let (wanted, left) = (targets.len() as u64, limits.left);
        if wanted > left {
            self.wrong(
                &written.name,
                format!("{wanted} targets, and tenant \"{tenant}\" has room for {left}: see its max_targets"),
            );
        }
        limits.left = left.saturating_sub(wanted);
    }
}
