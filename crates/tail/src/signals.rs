//! [`Signals`]: the signals of the operating system that the program handles.
//!
//! SIGINT (Ctrl-C) and SIGTERM end the program, and SIGHUP makes it open its files again. Windows
//! has Ctrl-C alone.

use std::future::pending;

#[cfg(unix)]
use tokio::signal::unix::{self, SignalKind};

/// A request that came as a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// A user at a terminal ends the program.
    Interrupt,
    /// A service manager ends the program.
    Terminate,
    /// The files that the program writes were moved away: it opens them again.
    Reopen,
}

/// The handlers of the signals, from the creation of this value on.
#[cfg(unix)]
pub(crate) struct Signals {
    interrupt: Option<unix::Signal>,
    terminate: Option<unix::Signal>,
    hangup: Option<unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    /// Installs the handlers, that of SIGHUP only if there are files to open again, or a service
    /// manager may send it: otherwise a closed terminal ends the program. A signal whose handler
    /// can't be installed has its usual effect.
    pub(crate) fn new(can_reopen: bool) -> Self {
        let of = |kind| unix::signal(kind).ok();
        Self {
            interrupt: of(SignalKind::interrupt()),
            terminate: of(SignalKind::terminate()),
            hangup: can_reopen.then(|| of(SignalKind::hangup())).flatten(),
        }
    }

    /// Waits for the next signal.
    ///
    /// # Cancellation
    ///
    /// No signal is lost if you drop the future.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            () = received(&mut self.interrupt) => Signal::Interrupt,
            () = received(&mut self.terminate) => Signal::Terminate,
            () = received(&mut self.hangup) => Signal::Reopen,
        }
    }
}

impl Signals {
    /// Waits for a signal that ends the program.
    pub(crate) async fn end(&mut self) {
        while self.next().await == Signal::Reopen {}
    }
}

/// Waits for a signal, or forever if it has no handler.
#[cfg(unix)]
async fn received(signal: &mut Option<unix::Signal>) {
    let received = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if received.is_none() {
        pending::<()>().await;
    }
}

/// The handler of Ctrl-C.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn new(_can_reopen: bool) -> Self {
        Self
    }

    /// Waits for Ctrl-C.
    pub(crate) async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => pending().await,
        }
    }
}
