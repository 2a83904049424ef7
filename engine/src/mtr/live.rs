//! While it runs: events from the shards, keys from the terminal, pictures to it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use megaping_probe::Nanos;
use megaping_probe::trace::HopEvent;
use megaping_ring::{Clock, Monotonic};
use ratatui::crossterm::event::{self, Event};

use super::model::Model;
use super::run::MtrJob;
use super::screen::strip::Glyphs;
use super::screen::terminal::Screen;
use super::screen::theme::{Theme, ThemeName};
use super::screen::view::{Action, View};
use super::screen::{Scene, Status, draw};
use crate::run::Scene as Run;

/// Events that may wait for the main thread: it looks ten times a second, so this is 80,000 answers a second.
const EVENTS: usize = 8192;
/// Between two pictures, unless a key asks for one.
const PICTURE: Duration = Duration::from_millis(100);

/// The queue from the shards to the main thread.
#[derive(Debug)]
pub struct Feed {
    queue: Arc<ArrayQueue<HopEvent>>,
    dropped: Arc<AtomicU64>,
}

/// A shard's end of it: never waits, and counts what finds no room.
pub type Listener = Box<dyn FnMut(&HopEvent) + Send>;

impl Feed {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Feed {
        Feed { queue: Arc::new(ArrayQueue::new(EVENTS)), dropped: Arc::default() }
    }

    /// A shard's end.
    #[must_use]
    pub fn listener(&self) -> Listener {
        let (queue, dropped) = (Arc::clone(&self.queue), Arc::clone(&self.dropped));
        Box::new(move |event| {
            if queue.push(*event).is_err() {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// Hands out what waits, and no more than there was room for: whoever draws has its turn, however much comes.
    pub fn drain(&self, mut each: impl FnMut(&HopEvent)) {
        for _ in 0..EVENTS {
            let Some(event) = self.queue.pop() else { break };
            each(&event);
        }
    }

    /// Events for which there was no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Default for Feed {
    fn default() -> Feed {
        Feed::new()
    }
}

/// The theme that was asked for, or the one that suits the environment (<https://no-color.org>).
fn theme_of(asked: Option<ThemeName>) -> ThemeName {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    asked.unwrap_or(if no_colour { ThemeName::Mono } else { ThemeName::Terminal })
}

/// Draws and obeys until the user leaves, a signal comes, or the run ends by itself.
///
/// # Errors
/// Those of the terminal, which has been given back then.
pub(super) fn watch(job: &mut MtrJob<'_>, run: &Run<'_, '_>) -> io::Result<()> {
    let options = job.options;
    let mut view = View::new(options.fields.clone(), options.naming, options.mpls, theme_of(options.theme));
    let glyphs = Glyphs::of_locale();
    let mut frozen: Option<Box<(Model, Status)>> = None;
    let mut screen = Screen::take()?;
    loop {
        job.hear();
        // A run that is over stays on the screen: its figures are what the user came for.
        if run.should_stop() {
            return Ok(());
        }
        let status = status(job, run);
        let (model, status) = match &frozen {
            Some(picture) => {
                (&picture.0, Status { frozen: true, dropped: status.dropped, ..picture.1.clone() })
            }
            None => (&job.model, status),
        };
        let theme = Theme::of(view.theme);
        let picture = Scene {
            model,
            names: &job.names,
            titles: &job.titles,
            view: &view,
            status: &status,
            theme: &theme,
            glyphs,
        };
        screen.draw(|frame| draw::draw(&picture, frame))?;
        let model = if let Some(picture) = &frozen { &picture.0 } else { &job.model };
        match keys(&mut view, model)? {
            None => {}
            Some(Action::Quit) => return Ok(()),
            Some(Action::QuitWithReport) => {
                job.wants_report = true;
                return Ok(());
            }
            Some(Action::Pause) => {
                job.rests.fetch_xor(true, Ordering::Relaxed);
            }
            Some(Action::Reset) => job.model.reset(),
            Some(Action::Freeze) => {
                frozen = match frozen {
                    Some(_) => None,
                    None => Some(Box::new((job.model.clone(), status.clone()))),
                };
            }
            Some(Action::Redraw) => screen.clear()?,
        }
    }
}

fn status(job: &MtrJob<'_>, run: &Run<'_, '_>) -> Status {
    let now = Nanos(Monotonic.now_ns());
    Status {
        elapsed: Duration::from_nanos(now.since(run.start)),
        now,
        backend: run.backend,
        paused: job.rests.load(Ordering::Relaxed),
        frozen: false,
        over: run.is_over(),
        dropped: job.feed.dropped(),
    }
}

/// Waits for a key until the next picture is due; all keys that are there are obeyed at once.
fn keys(view: &mut View, model: &Model) -> io::Result<Option<Action>> {
    let until = Instant::now() + PICTURE;
    while event::poll(until.saturating_duration_since(Instant::now()))? {
        match event::read()? {
            Event::Key(key) => {
                // Drawn at once: a key that waits feels broken.
                let action = view.key(&key, model);
                if action.is_some() || !event::poll(Duration::ZERO)? {
                    return Ok(action);
                }
            }
            Event::Resize(..) => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}
