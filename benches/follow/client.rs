//! A client in a process of its own, so that the process's CPU time, memory and threads are the
//! client's alone.
//!
//! [`Client`] is the harness's side; [`run`] is the process itself. They exchange [`Order`]s and
//! replies through `control`.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::control::{self, Process};
use crate::emulator::Address;
use crate::floor::Floor;
#[cfg(any(feature = "reqwest", feature = "isahc", feature = "surf"))]
use crate::library::Library;
use crate::measure::Usage;
use crate::scenario::Scenario;
use crate::subject::Name;

/// The time limit for a reply. Setting up a client may create a thousand transports.
const READY: Duration = Duration::from_secs(60);

/// An order to a client's process. The reply to each is the usage so far.
#[derive(Serialize, Deserialize)]
enum Order {
    /// Report the usage, then begin.
    Go,
    /// Report the usage.
    Mark,
}

/// The harness's handle of a client's process.
pub(crate) struct Client {
    process: Process,
    /// The usage when the process was ready.
    pub(crate) ready: Usage,
}

impl Client {
    /// Starts the process. It sends nothing before [`go`](Self::go).
    pub(crate) fn start(name: Name, server: &Address, scenario: &Scenario) -> Result<Self, String> {
        let server = serde_json::to_string(server).expect("an address is JSON");
        let scenario = serde_json::to_string(scenario).expect("a scenario is JSON");
        let mut process = Process::start(&["client", name.text(), &server, &scenario]);
        let ready = process.reply(READY)?;
        Ok(Self { process, ready })
    }

    /// Lets the client begin. Returns its usage before that.
    pub(crate) fn go(&mut self) -> Result<Usage, String> {
        self.process.order(&Order::Go);
        self.process.reply(READY)
    }

    /// Returns the client's usage so far.
    pub(crate) fn mark(&mut self) -> Result<Usage, String> {
        self.process.order(&Order::Mark);
        self.process.reply(READY)
    }

    /// Waits for the result of the scenario.
    pub(crate) fn result<T: DeserializeOwned>(&mut self, at_most: Duration) -> Result<T, String> {
        self.process.reply(at_most)
    }

    /// Waits while the client runs undisturbed.
    pub(crate) fn expect_silence(&mut self, duration: Duration) -> Result<(), String> {
        self.process.expect_silence(duration)
    }
}

/// The order to begin, which a scenario waits for.
pub(crate) struct Begin(Receiver<()>);

impl Begin {
    /// Reports that the client is ready, and waits for the order to begin.
    pub(crate) fn wait(self) {
        control::reply(&Usage::now());
        // The sender lives as long as the process.
        let _ = self.0.recv();
    }
}

/// Runs a client's process.
pub(crate) fn run(name: Name, server: &Address, scenario: &Scenario) {
    let (sender, receiver) = channel();
    control::obey(move |order: Order| {
        control::reply(&Usage::now());
        if matches!(order, Order::Go) {
            let _ = sender.send(());
        }
    });
    let begin = Begin(receiver);
    match name {
        Name::Floor => scenario.run::<Floor>(server, begin),
        #[cfg(feature = "reqwest")]
        Name::ReqwestAlone => scenario.run::<crate::floor::ReqwestAlone>(server, begin),
        #[cfg(feature = "reqwest")]
        Name::Reqwest => {
            scenario.run::<Library<box_longpoll::transports::ReqwestTransport>>(server, begin);
        }
        #[cfg(feature = "isahc")]
        Name::Isahc => {
            scenario.run::<Library<box_longpoll::transports::IsahcTransport>>(server, begin);
        }
        #[cfg(feature = "surf")]
        Name::Surf => {
            scenario.run::<Library<box_longpoll::transports::SurfTransport>>(server, begin);
        }
    }
}
