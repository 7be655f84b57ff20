//! Scenarios: the conditions of a simulated world and the faults in it, as data.
//!
//! Because a scenario is data, tests can generate, shrink, print and replay it. A scenario doesn't
//! contain any behavior: `world` and its modules apply it. Start at [`Scenario`]; [`What`] lists
//! all faults.

use box_longpoll_testkit::{Endpoint, Fault};
use serde::{Deserialize, Serialize};

use crate::climate::Climate;

/// The description of one run. Two runs of the same scenario are identical.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// The seed of the emulator's and the library's random numbers.
    pub(crate) seed: u64,
    #[serde(default)]
    pub(crate) climate: Climate,
    pub(crate) incidents: Vec<Incident>,
}

/// A fault or another event that happens once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Incident {
    pub(crate) when: When,
    pub(crate) what: What,
}

/// The time or occasion of an incident. All numbers count from 0 at the beginning of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    /// With the n-th request of an endpoint.
    Request(Endpoint, u32),
    /// At this time in milliseconds.
    At(u64),
    /// At the n-th step of the program.
    Step(u32),
    /// With the n-th write to the store.
    Write(u32),
    /// With the n-th batch that the program is about to acknowledge.
    Ack(u32),
    /// With the n-th call of the token source.
    Token(u32),
}

/// An event of the world. The first belongs to the account, the others are faults: of requests, of
/// the program and its store, and of the server and the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// Events are appended to the account's log. If `odd`, some of them differ from Box's
    /// documentation.
    Append { events: u32, odd: bool },

    /// The server responds to a request with a fault.
    Response(Fault),
    /// The connection is refused.
    Refused,
    /// The TLS handshake fails.
    NoTls,
    /// The transport fails with an error of no particular kind.
    Failed,
    /// The request never arrives, and the client gets no error.
    RequestLost,
    /// The request arrives, but the response never does.
    ResponseLost,
    /// The response comes this much later.
    Late { ms: u64 },
    /// The request arrives twice, and the client gets the second response.
    Twice,
    /// The connection ends inside the body.
    Cut,
    /// One byte of the body is wrong. `percent` is its place, in percent of the body's length.
    Garbled { percent: u8 },
    /// The body is larger than the client's limit.
    TooLarge,
    /// The page begins this number of events before the requested position.
    Earlier { back: usize },

    /// The program dies without warning, and starts again after this time.
    Crash { down_ms: u64 },
    /// The program dies, and starts again days later.
    Away { days: u32 },
    /// The handle stops the stream. The program ends, and starts again after 1 s.
    Stop,
    /// The store reports a failure, and did not write.
    WriteFails,
    /// The store reports success, but did not write.
    WriteLost,
    /// The store reports a failure, but did write.
    WriteUnsaid,
    /// Every read and write of the store fails for this time.
    StoreDown { ms: u64 },
    /// The program drops a batch without an acknowledgement.
    NoAck,
    /// The token source fails transiently.
    NoTokenNow,
    /// The token source fails permanently.
    NoToken,
    /// The token source returns the rejected token again.
    SameToken,

    /// The server forgets all realtime channels that it has listed.
    Rename,
    /// No host can be reached for this time.
    Down { ms: u64 },
    /// One realtime host can't be reached for this time.
    HostDown { host: usize, ms: u64 },
    /// A fault ends all held polls.
    Interrupt(Fault),
    /// Box no longer accepts the current token.
    Revoke,
    /// The wall clock is moved by this number of seconds.
    ClockSet { seconds: i64 },
    /// The machine is suspended for this number of seconds. Its connections are dead when it wakes,
    /// without an error.
    Sleeps { seconds: i64 },
}

impl What {
    /// Returns the name under which [`Coverage`](crate::coverage::Coverage) counts it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Response(fault) => fault.name().into(),
            Self::Interrupt(fault) => format!("interrupt_{}", fault.name()),
            other => {
                let debug = format!("{other:?}");
                let name = debug.split([' ', '(']).next().unwrap_or_default();
                name.to_owned()
            }
        }
    }
}

impl Scenario {
    /// Returns the scenario as one line of JSON for [`replay`](Self::replay). The line omits
    /// default fields of the climate.
    pub(crate) fn line(&self) -> String {
        let json = |value| serde_json::to_value(value).expect("the climate is plain data");
        let (mut climate, fair) = (json(&self.climate), json(&Climate::default()));
        if let Some(fields) = climate.as_object_mut() {
            fields.retain(|name, value| fair[name.as_str()] != *value);
        }
        serde_json::json!({"seed": self.seed, "climate": climate, "incidents": self.incidents})
            .to_string()
    }

    /// Parses a line of JSON.
    pub(crate) fn replay(line: &str) -> Self {
        serde_json::from_str(line).expect("a scenario")
    }
}
