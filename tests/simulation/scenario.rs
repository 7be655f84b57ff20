//! What a world is like and what goes wrong in it, as data: it can be generated, shrunk, printed and replayed.

use box_longpoll_testkit::{Endpoint, Fault};
use serde::{Deserialize, Serialize};

use crate::climate::Climate;

/// One run of the world. Two runs of the same scenario are the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// Where the emulator's and the library's randomness comes from.
    pub(crate) seed: u64,
    #[serde(default)]
    pub(crate) climate: Climate,
    pub(crate) incidents: Vec<Incident>,
}

/// Something that happens once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Incident {
    pub(crate) when: When,
    pub(crate) what: What,
}

/// All of them count from 0, from the beginning of the world on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    /// With the n-th request of an endpoint.
    Request(Endpoint, u32),
    /// At so many milliseconds.
    At(u64),
    /// At the n-th step of the program: whatever it does or is told.
    Step(u32),
    /// With the n-th write to the store.
    Write(u32),
    /// With the n-th batch that is to be acknowledged.
    Ack(u32),
    /// With the n-th question to the token source.
    Token(u32),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// Events are appended to the account's log; some of them are not as Box documents them if they are odd.
    Append { events: u32, odd: bool },

    /// The server answers a request with a fault.
    Answer(Fault),
    /// There is no connection.
    Refused,
    /// TLS fails.
    NoTls,
    /// The transport fails in a way of its own.
    Failed,
    /// The request never arrives, and nobody says so.
    RequestLost,
    /// The request arrives, the answer never does.
    AnswerLost,
    /// The answer comes so much later.
    Late { ms: u64 },
    /// The request arrives twice; the second answer comes.
    Twice,
    /// The connection ends inside the body.
    Cut,
    /// One byte of the body is another; which one, in percent of its length.
    Garbled { percent: u8 },
    /// The body is larger than the client takes.
    TooLarge,
    /// The page is one from so many events before the place that was asked for.
    Earlier { back: usize },

    /// The program is gone, with all it knew, and starts again after a while.
    Crash { down_ms: u64 },
    /// As a crash, and it is days before anything happens again.
    Away { days: u32 },
    /// The stream is stopped by its handle; the program ends and starts again after a second.
    Stop,
    /// The store says that it failed, and did.
    WriteFails,
    /// The store says that it wrote, and did not.
    WriteLost,
    /// The store says that it failed, and wrote.
    WriteUnsaid,
    /// Every write fails for so long, and nothing can be read.
    StoreDown { ms: u64 },
    /// A batch is dropped without an acknowledgement.
    NoAck,
    /// The token source fails for now.
    NoTokenNow,
    /// The token source fails for good.
    NoToken,
    /// The token source has no newer token.
    SameToken,

    /// All realtime channels get other names.
    Rename,
    /// Nothing can be reached for so long.
    Down { ms: u64 },
    /// One realtime host can't be reached for so long.
    HostDown { host: usize, ms: u64 },
    /// The polls that are held meet a fault.
    Interrupt(Fault),
    /// The current token is no longer taken.
    Revoke,
    /// The wall clock is set, by so many seconds.
    ClockSet { seconds: i64 },
    /// The machine sleeps for so many seconds. Its connections are dead when it wakes, and nobody says so.
    Sleeps { seconds: i64 },
}

impl What {
    /// What it is called where it is counted.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Answer(fault) => fault.name().into(),
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
    /// One line of JSON, which [`replay`](Self::replay) reads. What of the climate is fair is left out.
    pub(crate) fn line(&self) -> String {
        let json = |value| serde_json::to_value(value).expect("the climate is plain data");
        let (mut climate, fair) = (json(&self.climate), json(&Climate::default()));
        if let Some(fields) = climate.as_object_mut() {
            fields.retain(|name, value| fair[name.as_str()] != *value);
        }
        serde_json::json!({"seed": self.seed, "climate": climate, "incidents": self.incidents})
            .to_string()
    }

    pub(crate) fn replay(line: &str) -> Self {
        serde_json::from_str(line).expect("a scenario")
    }
}
