//! Which directory of the archive a row belongs to, in the form that Hive introduced and every reader knows.

use std::fmt::{self, Write};

use crate::files::Civil;

/// Nanoseconds of an hour.
pub const HOUR_NS: u64 = 3_600_000_000_000;
/// Whose the files are that were made before tenants had directories of their own.
const NOBODY: &str = "default";

/// The rows of one tenant in one hour.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Partition {
    /// Whose they are.
    pub tenant: String,
    /// Hours from the Unix epoch to the beginning of theirs.
    pub unix_hour: u64,
}

impl Partition {
    /// Where a file of this name is: `tenant=T/date=YYYY-MM-DD/hour=HH/NAME`.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        format!("{self}/{name}")
    }

    /// The partition of a file, by its path below the archive; none for what is no file of it.
    #[must_use]
    pub fn of_file(path: &str) -> Option<Partition> {
        let mut parts = path.strip_suffix(".parquet")?.split('/').rev().skip(1);
        let hour = parts.next()?.strip_prefix("hour=")?.parse().ok()?;
        let mut date = parts.next()?.strip_prefix("date=")?.splitn(3, '-').map(str::parse);
        let mut next = || date.next()?.ok();
        let civil = Civil { year: next()?, month: next()?, day: next()?, hour };
        let tenant = match parts.next() {
            None => NOBODY.to_owned(),
            Some(part) => decode(part.strip_prefix("tenant=")?)?,
        };
        Some(Partition { tenant, unix_hour: civil.unix_hours()? })
    }

    /// The date, as directories have it.
    #[must_use]
    pub fn date(&self) -> String {
        let t = Civil::new(self.unix_hour.saturating_mul(HOUR_NS));
        format!("{:04}-{:02}-{:02}", t.year, t.month, t.day)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenant={}/date={}/hour={:02}", encode(&self.tenant), self.date(), self.unix_hour % 24)
    }
}

/// Percent signs for all that a path or a pattern might take for something else.
fn encode(tenant: &str) -> String {
    let mut text = String::with_capacity(tenant.len());
    for byte in tenant.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => text.push(byte.into()),
            // Writing to a string cannot fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |b: u8| (b as char).to_digit(16);
            bytes.push((digit(rest.next()?)? * 16 + digit(rest.next()?)?) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_its_partition() {
        for tenant in ["default", "acme-1", "../x", "Müller & Söhne", "a=b/c%", ""] {
            let partition = Partition { tenant: tenant.to_owned(), unix_hour: 490_000 };
            let path = partition.file("x.parquet");
            assert_eq!(Partition::of_file(&path), Some(partition), "{path}");
            assert_eq!(path.split('/').count(), 4, "{path}");
        }
        let old = Partition { tenant: "default".into(), unix_hour: 472_222 };
        assert_eq!(Partition::of_file("date=2023-11-14/hour=22/a.parquet"), Some(old));
        for none in ["a.parquet", "date=2023-11-14/hour=24/a.parquet", "hour=1/a.parquet", "_megaping/probe"]
        {
            assert_eq!(Partition::of_file(none), None, "{none}");
        }
    }
}
