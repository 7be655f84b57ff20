//! The subjects of the measurement: the floor, and the library over each backend.
//!
//! [`Name`] selects one; [`Subject`] is the interface that all of them implement.

use std::future::Future;
use std::ops::ControlFlow;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::emulator::Address;
use crate::runtime::Runtime;

/// The name of a subject. There is the floor, and each backend that is compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Name {
    Floor,
    #[cfg(feature = "reqwest")]
    ReqwestAlone,
    #[cfg(feature = "reqwest")]
    Reqwest,
    #[cfg(feature = "isahc")]
    Isahc,
    #[cfg(feature = "surf")]
    Surf,
}

impl Name {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            #[cfg(feature = "reqwest")]
            Self::ReqwestAlone => "reqwest-alone",
            #[cfg(feature = "reqwest")]
            Self::Reqwest => "reqwest",
            #[cfg(feature = "isahc")]
            Self::Isahc => "isahc",
            #[cfg(feature = "surf")]
            Self::Surf => "surf",
        }
    }

    /// Returns `true` for the floor's loop over another HTTP library than hyper.
    pub(crate) fn is_alone(self) -> bool {
        self.text().ends_with("-alone")
    }
}

/// The start of a stream.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Start {
    Now,
    Oldest,
}

/// The pace of a stream's requests.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Pace {
    Default,
    /// So high that it never delays a request.
    Raised,
}

/// A client that follows accounts.
pub(crate) trait Subject: Clone + Send + 'static {
    type Runtime: Runtime;
    type Event;

    /// Returns a client with its own connections. It sends nothing yet.
    fn new(server: &Address, pace: Pace) -> Self;

    /// Follows an account until `each` returns `Break`. Clones share their connections.
    ///
    /// An error ends the program, because the figures would be wrong.
    fn follow(
        &self,
        account: String,
        start: Start,
        each: impl FnMut(&Self::Event) -> ControlFlow<()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static;

    /// Reads an account's log from its oldest event, page by page, until `each` returns `Break`.
    /// Waits for the future that `each` returns before it takes the next page.
    fn read_pages<W: Future<Output = ControlFlow<()>> + Send>(
        &self,
        account: String,
        each: impl FnMut(&[Self::Event]) -> W + Send,
    ) -> impl Future<Output = ()>;

    /// Reads an event's id, type and time.
    fn glance(event: &Self::Event);

    /// Reads every field that Box documents.
    fn read(event: &Self::Event);

    /// Returns the time in nanoseconds at which the emulator appended the event, if the event has
    /// it.
    fn sent_ns(event: &Self::Event) -> Option<u64>;
}

/// Ends the program with a reason. A panic would not do, because a task's panic may go unnoticed.
pub(crate) fn exit_with(reason: &str) -> ! {
    eprintln!("{reason}");
    std::process::exit(1)
}
