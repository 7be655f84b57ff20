//! Weather: faults of requests, connections and pages that last as long as a run.
//!
//! It changes the requests and responses of [`network`](crate::network) on their way, and appends
//! the account's events at random times. A [`Weather`] is data, so that its scenario can be
//! replayed. [`Permanent`] is its state in one run.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use box_longpoll::transport::TransportErrorKind;
use box_longpoll_testkit::{Endpoint, FakeResponse, Fault};
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::measures::Measures;
use crate::exchange::RequestFacts;
use crate::ledger::has_id;
use crate::scenario::{Scenario, What};
use crate::world::{Inner, Scheduled};

/// The time after which a gateway gives up if it gets no response.
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(30);

/// The time after which the server closes an idle connection.
const SERVER_KEEPS: Duration = Duration::from_millis(20);

/// The text before the position in a page.
const NEXT_POSITION: &str = r#""next_stream_position":""#;

/// The page of a captive portal or a gateway.
const HTML: &str = "<!doctype html><title>Sign in</title><p>Welcome to the hotel";

/// Weather that lasts for a complete run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Weather {
    /// The row of [`CLIMATES`](super::climates::CLIMATES) whose bounds hold.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The number of events in the log when the program starts.
    pub(crate) backlog: u32,
    /// The shortest and the longest time between two bursts of events, in milliseconds.
    pub(crate) every_ms: (u64, u64),
    /// The largest number of events in a burst.
    pub(crate) burst: u64,
    /// The longest time between the first and the last event of a burst, in milliseconds.
    pub(crate) apart_ms: u64,
    /// The length of a period with bursts, in seconds. 0: bursts always come.
    pub(crate) busy_s: u64,
    /// The length of the period without bursts that follows, in seconds.
    pub(crate) quiet_s: u64,
    /// `true` if most events have no id.
    pub(crate) odd: bool,
}

impl Weather {
    /// Returns weather with an event every few minutes.
    pub(super) fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            backlog: 0,
            every_ms: (10_000, 400_000),
            burst: 1,
            apart_ms: 1,
            busy_s: 0,
            quiet_s: 0,
            odd: false,
        }
    }
}

/// The kind of a weather.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Nothing is wrong.
    Fair,
    /// A proxy ends each poll after a time.
    PollsAreCut { after_s: u64, by: Cut },
    /// A kept connection is dead when it is used again.
    ConnectionsDie {
        dies: Dies,
        /// `true` if the transport can tell that the connection was used before.
        transport_knows: bool,
    },
    /// This share of the requests fails.
    CallsFail { percent: u32 },
    /// A page with a limit above this does not come in time.
    PagesAreLate { above: u32, by: Late },
    /// Each page has a new position, even if nothing has happened.
    PositionsMove,
    /// Each position has this number of bytes.
    PositionsAreLong { bytes: usize },
    /// Pages at the end of the log repeat the last event, and alternate between two positions.
    PagesGoToAndFro,
    /// The client never gets a usable server list.
    NoServers { by: Missing },
    /// A middlebox forgets a held poll after a time, and the client gets no error.
    PollsVanish { after_s: u64 },
    /// Again and again, a captive portal responds for a time to each request with this status. The
    /// body doesn't come from Box.
    Portal {
        every_s: u64,
        for_s: u64,
        status: u16,
    },
}

/// The way in which a poll is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cut {
    /// The connection ends before the headers.
    Interrupted,
    /// The connection ends after the headers.
    Body,
    /// A gateway responds with 504.
    GatewayTimeout,
    /// A proxy responds with 200 and an empty body.
    Empty,
}

/// The time at which a kept connection dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dies {
    /// The server closes it 20 ms after each response.
    Soon,
    /// The second request on it is reset.
    OnSecondRequest,
}

/// The way in which a large page fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Late {
    /// No response comes.
    Silent,
    /// A gateway responds with 504 after 30 s.
    GatewayTimeout,
    /// The body is cut.
    Cut,
}

/// The way in which `OPTIONS` fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Missing {
    /// The response is 404.
    NotFound,
    /// No response comes.
    Silent,
    /// The list has no servers.
    Empty,
}

/// The weather of one run.
pub(crate) struct Permanent {
    pub(super) weather: Weather,
    rng: Rng,
    /// The hosts with a kept connection, and the time since which it has been idle.
    kept: HashMap<String, Duration>,
    /// The requests on a kept connection, and the time since which it had been idle.
    reusing: HashMap<u64, Duration>,
    /// The number of pages whose position the weather changed.
    moved: u64,
    /// The last event, which pages repeat in [`Kind::PagesGoToAndFro`].
    repeated: Option<Arc<str>>,
    pub(super) measures: Measures,
}

impl Permanent {
    pub(crate) fn of(scenario: &Scenario) -> Option<Self> {
        let weather = scenario.climate.permanent.clone()?;
        Some(Self {
            measures: Measures::of(&weather),
            rng: Rng::with_seed(scenario.seed),
            kept: HashMap::new(),
            reusing: HashMap::new(),
            moved: 0,
            repeated: None,
            weather,
        })
    }

    /// Returns the fault of a request.
    fn meets(&mut self, facts: &RequestFacts, now: Duration) -> Option<What> {
        match &self.weather.kind {
            Kind::CallsFail { percent } if self.rng.u32(..100) < *percent => {
                Some(What::Response(match self.rng.u32(..4) {
                    0 => status(502, HTML),
                    1 => Fault::Reset,
                    2 => Fault::Garbage,
                    _ => Fault::Html,
                }))
            }
            Kind::PagesAreLate { above, by } if facts.limit > Some(*above) => Some(match by {
                Late::Silent => What::RequestLost,
                Late::GatewayTimeout => What::Response(status(504, HTML)),
                Late::Cut => What::Cut,
            }),
            Kind::NoServers { by } if facts.endpoint == Endpoint::Options => Some(match by {
                Missing::NotFound => What::Response(Fault::NotFound),
                Missing::Silent => What::RequestLost,
                Missing::Empty => What::Response(Fault::EmptyList),
            }),
            Kind::Portal {
                every_s,
                for_s,
                status: with,
            } => {
                let seconds = now.as_secs();
                let is_there = seconds >= *every_s && seconds % every_s < *for_s;
                let body = if *with == 400 { "" } else { HTML };
                is_there.then(|| What::Response(status(*with, body)))
            }
            _ => None,
        }
    }

    /// Returns the time until the next burst.
    fn pause(&mut self, now: Duration) -> Duration {
        let (shortest, longest) = self.weather.every_ms;
        let pause = Duration::from_millis(self.rng.u64(shortest..=longest));
        let (busy, quiet) = (self.weather.busy_s, self.weather.quiet_s);
        if busy == 0 {
            return pause;
        }
        let round = Duration::from_secs(busy + quiet);
        let rounds = (now + pause).as_secs() / round.as_secs();
        let into_round = (now + pause).saturating_sub(round * u32::try_from(rounds).unwrap_or(0));
        if into_round < Duration::from_secs(busy) {
            pause
        } else {
            pause + round.saturating_sub(into_round)
        }
    }

    /// Changes a page.
    fn changes(&mut self, response: &mut FakeResponse) {
        let suffix = match &self.weather.kind {
            Kind::PositionsMove => format!("{:06}", self.moved),
            Kind::PagesGoToAndFro => (self.moved % 2).to_string(),
            Kind::PositionsAreLong { bytes } => "0".repeat(bytes.saturating_sub(19)),
            _ => return,
        };
        self.moved += 1;
        let Ok(mut body) = String::from_utf8(std::mem::take(&mut response.body)) else {
            return;
        };
        if let Some(at) = body.find(NEXT_POSITION) {
            let from = at + NEXT_POSITION.len();
            let end = body[from..].find('"').unwrap_or_default();
            body.insert_str(from + end, &suffix);
        }
        if let (Kind::PagesGoToAndFro, Some(event)) = (&self.weather.kind, &self.repeated) {
            body = body.replacen(r#""entries":[]"#, &format!(r#""entries":[{event}]"#), 1);
        }
        response.body = body.into_bytes();
    }
}

fn status(status: u16, body: &str) -> Fault {
    Fault::Status {
        status,
        headers: BTreeMap::new(),
        body: body.into(),
    }
}

/// The calls from the world to its weather.
impl Inner {
    /// Appends the backlog, and schedules the first burst.
    pub(crate) fn begin_weather(&mut self) {
        let Some(permanent) = &self.permanent else {
            return;
        };
        let (backlog, odd) = (permanent.weather.backlog, permanent.weather.odd);
        let first = Duration::from_millis(permanent.weather.every_ms.0);
        self.append(backlog, odd);
        self.schedule(first, Scheduled::Burst);
    }

    /// Returns the number of turns that the run may take in addition to those of a run without
    /// weather.
    pub(crate) fn most_events_of_weather(&self) -> u64 {
        // A stream that does more than 200 things in every second loops without progress.
        let seconds = self.climate.heals_after_ms / 1_000;
        if self.permanent.is_some() {
            seconds * 200
        } else {
            0
        }
    }

    /// Appends the first event of a burst, and schedules its other events and the next burst.
    pub(crate) fn burst(&mut self) {
        let now = self.now;
        let Some(permanent) = &mut self.permanent else {
            return;
        };
        let more = permanent.rng.u64(..permanent.weather.burst);
        let apart = permanent.weather.apart_ms;
        let mut times: Vec<Duration> = (0..more)
            .map(|_| now + Duration::from_millis(permanent.rng.u64(1..=apart)))
            .collect();
        times.sort_unstable();
        let next = now + permanent.pause(now);
        for time in times {
            self.schedule(time, Scheduled::Event);
        }
        self.schedule(next, Scheduled::Burst);
        self.append_by_weather();
    }

    pub(crate) fn append_by_weather(&mut self) {
        let odd = self
            .permanent
            .as_ref()
            .is_some_and(|permanent| permanent.weather.odd);
        self.append(1, odd);
    }

    /// Returns the weather's fault for a request.
    pub(crate) fn weather_meets(&mut self, facts: &RequestFacts) -> Option<What> {
        let now = self.now;
        self.permanent.as_mut()?.meets(facts, now)
    }

    /// Chooses the connection for a request. Returns `true` if it was used before, and `None` if
    /// this doesn't matter or the transport can't tell.
    pub(crate) fn weather_reuses(&mut self, facts: &RequestFacts, id: u64) -> Option<bool> {
        let permanent = self.permanent.as_mut()?;
        let Kind::ConnectionsDie {
            transport_knows, ..
        } = permanent.weather.kind
        else {
            return None;
        };
        let kept = if facts.fresh_connection {
            None
        } else {
            permanent.kept.remove(&facts.host)
        };
        if let Some(idle_since) = kept {
            permanent.reusing.insert(id, idle_since);
        }
        transport_knows.then_some(kept.is_some())
    }

    /// Returns `true` if a request's connection is dead when the request reaches the server.
    pub(crate) fn weather_kills(&mut self, id: u64) -> bool {
        let now = self.now;
        let Some(permanent) = &mut self.permanent else {
            return false;
        };
        let Kind::ConnectionsDie { dies, .. } = permanent.weather.kind else {
            return false;
        };
        permanent
            .reusing
            .remove(&id)
            .is_some_and(|idle_since| match dies {
                Dies::Soon => now > idle_since + SERVER_KEEPS,
                Dies::OnSecondRequest => true,
            })
    }

    /// Schedules the end of a held poll.
    pub(crate) fn weather_limits(&mut self, id: u64) {
        let Some(permanent) = &self.permanent else {
            return;
        };
        if let Kind::PollsAreCut { after_s, .. } | Kind::PollsVanish { after_s } =
            permanent.weather.kind
        {
            self.schedule(self.now + Duration::from_secs(after_s), Scheduled::Cut(id));
        }
    }

    /// Ends a held poll whose time is over.
    pub(crate) fn weather_cuts(&mut self, id: u64) {
        let Some(pending) = self.pending.get_mut(&id) else {
            return;
        };
        let Some(hold) = pending.hold.take() else {
            return;
        };
        pending.listens = false;
        self.holds.remove(&hold);
        self.emulator.hang_up(hold);
        let kind = self.permanent.as_ref().map(|now| now.weather.kind.clone());
        if let Some(Kind::PollsAreCut { by, .. }) = kind {
            match by {
                Cut::Interrupted => self.fails(id, TransportErrorKind::Interrupted),
                Cut::Body => self.fails(id, TransportErrorKind::Body),
                Cut::GatewayTimeout => self.leaves(id, FakeResponse::json(504, HTML)),
                Cut::Empty => self.leaves(id, FakeResponse::json(200, "")),
            }
        }
    }

    /// Changes a response that leaves the server, and keeps its connection.
    pub(crate) fn weather_changes(&mut self, id: u64, response: &mut FakeResponse) {
        let now = self.now;
        let (Some(permanent), Some(pending)) = (&mut self.permanent, self.pending.get(&id)) else {
            return;
        };
        if pending.facts.endpoint == Endpoint::Events && response.status == 200 {
            permanent.changes(response);
        }
        permanent.kept.insert(pending.facts.host.clone(), now);
    }

    /// Returns the additional delay of a response.
    pub(crate) fn weather_delays(&self, id: u64) -> Duration {
        let met = self.pending.get(&id).and_then(|sent| sent.met.as_ref());
        match (&self.permanent, met) {
            (Some(_), Some(What::Response(Fault::Status { status: 504, .. }))) => GATEWAY_TIMEOUT,
            _ => Duration::ZERO,
        }
    }

    /// Notes events that were appended.
    pub(crate) fn measure_appended(&mut self, events: &[Arc<str>]) {
        let visible = self.now + Duration::from_millis(self.climate.visible_after_ms);
        let Some(permanent) = &mut self.permanent else {
            return;
        };
        permanent.measures.appended(events.len(), visible);
        let odd = permanent.weather.odd;
        let repeated = events.iter().rev().find(|event| has_id(event) != odd);
        if let Some(event) = repeated {
            permanent.repeated = Some(event.clone());
        }
    }
}
