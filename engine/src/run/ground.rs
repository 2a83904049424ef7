//! What rings that send frames stand on: the way out, and the program that the interface runs for them.

use std::net::IpAddr;
use std::sync::Arc;

use megaping_loader::{LoadError, Pins, Tap};
use megaping_wire::Addr;

use super::RunError;
use crate::cli::PingOptions;
use crate::net::{Choice, Hopper, WayOut};
use crate::targets::TargetSet;

/// Whether the program is on its interface still.
type IsAttached = Box<dyn Fn() -> Result<bool, LoadError> + Send>;

/// Dropping it takes the program off the interface.
pub struct Ground {
    /// The way out.
    pub way: WayOut,
    is_attached: Option<IsAttached>,
    /// The tap's pins, where they are asked for.
    _pins: Option<Pins>,
    /// What is slower than it could be, or missing, and why; a sentence each.
    pub notes: Vec<String>,
}

impl Ground {
    /// The way out to `targets`; no program yet.
    ///
    /// # Errors
    /// [`RunError::Net`].
    pub fn find(options: &PingOptions, targets: &Arc<TargetSet>) -> Result<Ground, RunError> {
        let sources = [options.source_v4.map(Into::into), options.source_v6.map(Into::into)];
        let way = WayOut::find(targets, Choice { interface: options.interface.clone(), sources })?;
        let notes = silent_hops(&way).into_iter().collect();
        Ok(Ground { way, is_attached: None, _pins: None, notes })
    }

    /// Keeps the program, which `is_attached` owns, and its pins.
    #[must_use]
    pub fn with_program(
        self,
        pins: Option<Pins>,
        is_attached: impl Fn() -> Result<bool, LoadError> + Send + 'static,
    ) -> Ground {
        Ground { is_attached: Some(Box::new(is_attached)), _pins: pins, ..self }
    }

    /// Starts the thread that follows routes and neighbours, and looks whether the program is attached still.
    ///
    /// # Errors
    /// [`RunError::Net`].
    pub fn keep(&mut self) -> Result<(), RunError> {
        let Some(is_attached) = self.is_attached.take() else { return Ok(()) };
        let name = self.way.link.name.clone();
        let check = move || match is_attached() {
            Ok(true) => None,
            Ok(false) => {
                Some(format!("our program was taken off {name:?}: answers do not reach us any more"))
            }
            Err(error) => Some(error.to_string()),
        };
        Ok(self.way.keep(Some(Box::new(check)))?)
    }

    /// A view of the next hops, for a shard.
    #[must_use]
    pub fn hopper(&self) -> Hopper {
        self.way.hopper()
    }

    /// Where packets come from, IPv4 first.
    #[must_use]
    pub fn sources(&self) -> [Addr; 2] {
        self.way.sources.map(|source: Option<IpAddr>| source.map_or(Addr::UNSPECIFIED, Addr::from))
    }
}

/// Pins the tap of a program, where that is asked for.
///
/// # Errors
/// [`LoadError::Pin`].
pub fn pin(options: &PingOptions, tap: &mut Tap) -> Result<Option<Pins>, LoadError> {
    let Some(capture) = &options.capture else { return Ok(None) };
    capture.pins.as_deref().map(|dir| tap.pin(dir, capture.group)).transpose()
}

fn silent_hops(way: &WayOut) -> Option<String> {
    let (name, first, count) = (&way.link.name, way.silent.first()?, way.silent.len());
    Some(format!(
        "{name}: {count} next hops ({first}, ...) do not answer ARP or neighbour discovery yet: probes to them are not \
         sent until they do"
    ))
}
