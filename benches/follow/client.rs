//! A client as a process of its own, so that its CPU time, memory and threads are its own.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::control::{self, Process};
use crate::floor::Floor;
#[cfg(any(feature = "reqwest", feature = "isahc", feature = "surf"))]
use crate::library::Library;
use crate::measure::Usage;
use crate::scenario::Scenario;
use crate::subject::Name;

/// Setting a client up may mean a thousand transports.
const READY: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
enum Order {
    /// Begin. The reply is the usage before.
    Go,
    /// Say what was used so far.
    Mark,
}

/// A process with a client, as the harness sees it.
pub(crate) struct Client {
    process: Process,
    /// What it had used when it was ready.
    pub(crate) ready: Usage,
}

impl Client {
    /// Starts the process. It sends nothing before [`go`](Self::go).
    pub(crate) fn start(name: Name, origin: &str, scenario: &Scenario) -> Result<Self, String> {
        let scenario = serde_json::to_string(scenario).expect("a scenario is JSON");
        let mut process = Process::start(&["client", name.text(), origin, &scenario]);
        let ready = process.reply(READY)?;
        Ok(Self { process, ready })
    }

    /// Lets it begin. Returns what it had used before.
    pub(crate) fn go(&mut self) -> Result<Usage, String> {
        self.process.order(&Order::Go);
        self.process.reply(READY)
    }

    /// What it has used so far.
    pub(crate) fn mark(&mut self) -> Result<Usage, String> {
        self.process.order(&Order::Mark);
        self.process.reply(READY)
    }

    /// What the scenario ends with.
    pub(crate) fn result<T: DeserializeOwned>(&mut self, at_most: Duration) -> Result<T, String> {
        self.process.reply(at_most)
    }

    /// Waits while it goes on.
    pub(crate) fn leave_alone(&mut self, duration: Duration) -> Result<(), String> {
        self.process.leave_alone(duration)
    }
}

/// A client's wait for the order to begin.
pub(crate) struct Begin(Receiver<()>);

impl Begin {
    /// Says that all is ready, and waits for the order to begin.
    pub(crate) fn wait(self) {
        control::reply(&Usage::now());
        // The other end ends with the process only.
        let _ = self.0.recv();
    }
}

/// What a client's process does.
pub(crate) fn run(name: Name, origin: &str, scenario: &Scenario) {
    let (sender, receiver) = channel();
    control::obey(move |order: Order| {
        control::reply(&Usage::now());
        if matches!(order, Order::Go) {
            let _ = sender.send(());
        }
    });
    let begin = Begin(receiver);
    match name {
        Name::Floor => scenario.run::<Floor>(origin, begin),
        #[cfg(feature = "reqwest")]
        Name::ReqwestAlone => scenario.run::<crate::floor::ReqwestAlone>(origin, begin),
        #[cfg(feature = "reqwest")]
        Name::Reqwest => {
            scenario.run::<Library<box_longpoll::transports::ReqwestTransport>>(origin, begin);
        }
        #[cfg(feature = "isahc")]
        Name::Isahc => {
            scenario.run::<Library<box_longpoll::transports::IsahcTransport>>(origin, begin);
        }
        #[cfg(feature = "surf")]
        Name::Surf => {
            scenario.run::<Library<box_longpoll::transports::SurfTransport>>(origin, begin);
        }
    }
}
