//! The live screen: a picture of the model, drawn some times a second, and the keys that change it.
//!
//! A picture is a function of its [`Scene`]; nothing here asks a clock, a socket or the terminal, except
//! `terminal`, which takes and gives back the real one.

pub mod draw;
pub mod keys;
pub mod strip;
pub mod terminal;
pub mod theme;
pub mod view;

mod detail;
mod popup;
mod table;
#[cfg(test)]
mod tests;

use std::time::Duration;

use megaping_probe::Nanos;

use super::model::Model;
use crate::names::Names;
use strip::Glyphs;
use theme::Theme;
use view::View;

/// What a picture shows.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// What is known.
    pub model: &'a Model,
    /// Names of addresses.
    pub names: &'a Names,
    /// The targets as they were given.
    pub titles: &'a [String],
    /// What the user looks at.
    pub view: &'a View,
    /// How the run is.
    pub status: &'a Status,
    /// Its colours.
    pub theme: &'a Theme,
    /// Its signs.
    pub glyphs: Glyphs,
}

/// How the run is.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Since the first probe.
    pub elapsed: Duration,
    /// The shards' clock.
    pub now: Nanos,
    /// The way to the wire.
    pub backend: &'static str,
    /// Whether probing rests.
    pub paused: bool,
    /// Whether all rounds have been.
    pub over: bool,
    /// Whether the picture is an old one.
    pub frozen: bool,
    /// Events for which the queue had no room.
    pub dropped: u64,
}
