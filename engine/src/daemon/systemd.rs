//! What systemd is told of a service of `Type=notify` (`sd_notify(3)`). Without it nothing happens.

use sd_notify::NotifyState;

/// The first probe is on its way.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// The main thread turns still: to be told at least twice in `WatchdogSec`.
pub fn alive() {
    tell(NotifyState::Watchdog);
}

/// The end has begun.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    // A manager that does not listen is not ours to help.
    let _ = sd_notify::notify(false, &[state]);
}
