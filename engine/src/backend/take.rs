//! From a ranking to a way that is open.

use std::fmt::{self, Display};

use super::{Candidate, Kind, Obstacle, Verdict};

/// A way that opened, and the faster ones that did not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken<T> {
    /// Which.
    pub kind: Kind,
    /// What opening it gave.
    pub open: T,
    /// Faster ones, fastest first. Those that are pointless are not among them.
    pub passed: Vec<Passed>,
}

/// A way that could not be taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Passed {
    /// Which.
    pub kind: Kind,
    /// The first thing in its way.
    pub obstacle: Obstacle,
}

/// Opens the first way that opens.
///
/// # Errors
/// What the last attempt said, where one was made; `None` where nothing was worth one.
pub fn take<T, E: Display>(
    ranking: &[Candidate],
    mut open: impl FnMut(Kind) -> Result<T, E>,
) -> Result<Taken<T>, Option<E>> {
    let mut passed = Vec::new();
    let mut last = None;
    for Candidate { kind, verdict } in ranking {
        let kind = *kind;
        match verdict {
            Verdict::Pointless(_) => {}
            Verdict::Blocked(obstacles) => {
                passed.extend(obstacles.first().map(|first| Passed { kind, obstacle: first.clone() }));
            }
            Verdict::Usable => match open(kind) {
                Ok(open) => return Ok(Taken { kind, open, passed }),
                Err(error) => {
                    passed.push(Passed { kind, obstacle: Obstacle { why: error.to_string(), fix: None } });
                    last = Some(error);
                }
            },
        }
    }
    Err(last)
}

impl<T> Taken<T> {
    /// What to tell the user, on one line: nothing where the fastest was taken.
    #[must_use]
    pub fn remark(&self) -> Option<Remark<'_>> {
        (!self.passed.is_empty()).then_some(Remark { kind: self.kind, passed: &self.passed })
    }
}

/// Says which way is taken, and why not a faster one. Ways with the same obstacle share a sentence.
#[derive(Debug)]
pub struct Remark<'a> {
    kind: Kind,
    passed: &'a [Passed],
}

impl Display for Remark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backend {}", self.kind)?;
        let mut said: Vec<&Obstacle> = Vec::new();
        for Passed { obstacle, .. } in self.passed {
            if said.contains(&obstacle) {
                continue;
            }
            said.push(obstacle);
            let same = self.passed.iter().filter(|other| other.obstacle == *obstacle);
            let names: Vec<_> = same.map(|other| other.kind.name()).collect();
            write!(f, "; {} {}", names.join(" and "), obstacle.why)?;
            if let Some(fix) = &obstacle.fix {
                write!(f, " ({fix})")?;
            }
        }
        f.write_str("; more: megaping doctor")
    }
}
