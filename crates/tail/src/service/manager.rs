//! The messages to a service manager that gave the program a socket for them.

use std::env;
use std::time::Duration;

use sd_notify::{NotifyState, notify};

/// Returns `true` if there is a service manager.
pub(super) fn is_there() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some()
}

/// Returns the time after which the service manager restarts a program that sends nothing.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Sends a message, such as `READY=1`. The program can do nothing about a service manager that does
/// not take it.
pub(super) fn send(message: &str) {
    let _ = notify(&[NotifyState::Custom(message)]);
}

/// Sends the message that the program reads its files again, which has a time.
pub(super) fn send_reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        let _ = notify(&[NotifyState::Reloading, now]);
    }
}
