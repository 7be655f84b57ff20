//! What is measured: the floor, and the library over each backend.

use std::future::Future;
use std::ops::ControlFlow;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::runtime::Runtime;

/// What is measured. The floor is always there, and the backends that are compiled in.
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
}

/// Where a stream begins.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Start {
    Now,
    Oldest,
}

/// How often a stream may ask.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Pace {
    Default,
    /// So high that it is never in the way.
    Raised,
}

/// What follows accounts.
pub(crate) trait Subject: Clone + Send + 'static {
    type Runtime: Runtime;
    type Event;

    /// One that has its own connections. Nothing is sent yet.
    fn new(origin: &str, pace: Pace) -> Self;

    /// Follows an account until `each` has had enough. Clones share their connections.
    ///
    /// An error ends the program: what is measured then would be something else.
    fn follow(
        &self,
        account: String,
        start: Start,
        each: impl FnMut(&Self::Event) -> ControlFlow<()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static;

    /// Takes an event's id, type and time.
    fn glance(event: &Self::Event);

    /// Takes every field that Box documents.
    fn read(event: &Self::Event);

    /// When the emulator appended the event, if it said so.
    fn sent_ns(event: &Self::Event) -> Option<u64>;
}

/// Ends the program with a reason, which may come from a task whose panic nobody would see.
pub(crate) fn give_up(reason: &str) -> ! {
    eprintln!("{reason}");
    std::process::exit(1)
}
