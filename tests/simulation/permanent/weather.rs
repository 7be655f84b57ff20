//! Weather: what happens to requests, connections and pages for as long as a run lasts.
//!
//! It meets the requests of [`network`](crate::network) on their way, and appends the account's events at times by chance.
//! A [`Weather`] is data, so that a scenario with it can be replayed; [`Permanent`] is its state in one run.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use box_longpoll::transport::TransportErrorKind;
use box_longpoll_testkit::{Answer, Endpoint, Fault};
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::measures::Measures;
use crate::exchange::Asked;
use crate::ledger::has_id;
use crate::scenario::{Scenario, What};
use crate::world::{Due, Inner};

/// A gateway that gets no response gives up after this time.
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(30);

/// A server that closes idle connections without a word does so after this time.
const SERVER_KEEPS: Duration = Duration::from_millis(20);

/// Stands before the position of a page.
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
    /// How many events the log has when the program starts.
    pub(crate) backlog: u32,
    /// The shortest and the longest time between two bursts of events, in milliseconds.
    pub(crate) every_ms: (u64, u64),
    /// How many events a burst has at most.
    pub(crate) burst: u64,
    /// The longest time between the first event of a burst and another one of it, in milliseconds.
    pub(crate) apart_ms: u64,
    /// For how many seconds bursts come, and for how many none does then. 0: bursts always come.
    pub(crate) busy_s: u64,
    pub(crate) quiet_s: u64,
    /// Whether most events have no id.
    pub(crate) odd: bool,
}

impl Weather {
    /// Weather with an event every few minutes.
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

/// What the weather does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Nothing.
    Fair,
    /// A proxy ends each poll after a time.
    PollsAreCut { after_s: u64, by: Cut },
    /// A kept connection is dead when it is used again.
    ConnectionsDie {
        dies: Dies,
        /// Whether the transport can tell that the connection was used before.
        transport_knows: bool,
    },
    /// One request in so many percent fails.
    CallsFail { percent: u32 },
    /// A page with a limit above this does not come in time.
    PagesAreLate { above: u32, by: Late },
    /// Each page has another position.
    PositionsMove,
    /// Each position has so many bytes.
    PositionsAreLong { bytes: usize },
    /// Pages at the end give the last event again, and one of two positions in turn.
    PagesGoToAndFro,
    /// The server list can't be had.
    NoServers { by: Missing },
    /// A held poll is forgotten after a time, and nobody says so.
    PollsVanish { after_s: u64 },
    /// For a time, something on the way responds to each request with this status and no body of Box's.
    Portal {
        every_s: u64,
        for_s: u64,
        status: u16,
    },
}

/// How a poll is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cut {
    /// The connection ends before the headers.
    Interrupted,
    /// The connection ends after the headers.
    Body,
    /// 504.
    GatewayTimeout,
    /// 200 without a body.
    Empty,
}

/// When a kept connection dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dies {
    /// The server closes it 20 ms after each response.
    Soon,
    /// The second request on it is reset.
    OnSecondRequest,
}

/// How a large page fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Late {
    /// Nothing comes.
    Silent,
    /// 504 after 30 s.
    GatewayTimeout,
    /// The body is cut.
    Cut,
}

/// How `OPTIONS` fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Missing {
    /// 404.
    NotFound,
    /// Nothing comes.
    Silent,
    /// A list without servers.
    Empty,
}

/// The weather of one run.
pub(crate) struct Permanent {
    pub(super) weather: Weather,
    rng: Rng,
    /// The hosts to which a connection is kept, and since when the server has been idle on it.
    kept: HashMap<String, Duration>,
    /// Requests that go out on a kept connection, and since when the server has been idle on it.
    reusing: HashMap<u64, Duration>,
    /// How many pages were given a position by the weather.
    moved: u64,
    /// The last event, which comes again and again where pages go to and fro.
    again: Option<Arc<str>>,
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
            again: None,
            weather,
        })
    }

    /// What a request meets.
    fn meets(&mut self, asked: &Asked, now: Duration) -> Option<What> {
        match &self.weather.kind {
            Kind::CallsFail { percent } if self.rng.u32(..100) < *percent => {
                Some(What::Answer(match self.rng.u32(..4) {
                    0 => status(502, HTML),
                    1 => Fault::Reset,
                    2 => Fault::Garbage,
                    _ => Fault::Html,
                }))
            }
            Kind::PagesAreLate { above, by } if asked.limit > Some(*above) => Some(match by {
                Late::Silent => What::RequestLost,
                Late::GatewayTimeout => What::Answer(status(504, HTML)),
                Late::Cut => What::Cut,
            }),
            Kind::NoServers { by } if asked.endpoint == Endpoint::Options => Some(match by {
                Missing::NotFound => What::Answer(Fault::NotFound),
                Missing::Silent => What::RequestLost,
                Missing::Empty => What::Answer(Fault::EmptyList),
            }),
            Kind::Portal {
                every_s,
                for_s,
                status: with,
            } => {
                let seconds = now.as_secs();
                let is_there = seconds >= *every_s && seconds % every_s < *for_s;
                let body = if *with == 400 { "" } else { HTML };
                is_there.then(|| What::Answer(status(*with, body)))
            }
            _ => None,
        }
    }

    /// The time until the next burst.
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
    fn changes(&mut self, answer: &mut Answer) {
        let suffix = match &self.weather.kind {
            Kind::PositionsMove => format!("{:06}", self.moved),
            Kind::PagesGoToAndFro => (self.moved % 2).to_string(),
            Kind::PositionsAreLong { bytes } => "0".repeat(bytes.saturating_sub(19)),
            _ => return,
        };
        self.moved += 1;
        let Ok(mut body) = String::from_utf8(std::mem::take(&mut answer.body)) else {
            return;
        };
        if let Some(at) = body.find(NEXT_POSITION) {
            let from = at + NEXT_POSITION.len();
            let end = body[from..].find('"').unwrap_or_default();
            body.insert_str(from + end, &suffix);
        }
        if let (Kind::PagesGoToAndFro, Some(event)) = (&self.weather.kind, &self.again) {
            body = body.replacen(r#""entries":[]"#, &format!(r#""entries":[{event}]"#), 1);
        }
        answer.body = body.into_bytes();
    }
}

fn status(status: u16, body: &str) -> Fault {
    Fault::Status {
        status,
        headers: BTreeMap::new(),
        body: body.into(),
    }
}

/// The times at which the weather meets the world.
impl Inner {
    pub(crate) fn begin_weather(&mut self) {
        let Some(permanent) = &self.permanent else {
            return;
        };
        let (backlog, odd) = (permanent.weather.backlog, permanent.weather.odd);
        let first = Duration::from_millis(permanent.weather.every_ms.0);
        self.append(backlog, odd);
        self.schedule(first, Due::Burst);
    }

    /// So many more things may happen than in a run without weather.
    pub(crate) fn most_events_of_weather(&self) -> u64 {
        // A stream that does more than this in every second goes round in circles.
        let seconds = self.climate.heals_after_ms / 1_000;
        if self.permanent.is_some() {
            seconds * 200
        } else {
            0
        }
    }

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
            self.schedule(time, Due::Event);
        }
        self.schedule(next, Due::Burst);
        self.append_by_weather();
    }

    pub(crate) fn append_by_weather(&mut self) {
        let odd = self
            .permanent
            .as_ref()
            .is_some_and(|permanent| permanent.weather.odd);
        self.append(1, odd);
    }

    /// What the weather does to a request.
    pub(crate) fn weather_meets(&mut self, asked: &Asked) -> Option<What> {
        let now = self.now;
        self.permanent.as_mut()?.meets(asked, now)
    }

    /// Chooses the connection that a request goes out on. Returns whether it was used before, if that matters and the
    /// transport can tell.
    pub(crate) fn weather_reuses(&mut self, asked: &Asked, id: u64) -> Option<bool> {
        let permanent = self.permanent.as_mut()?;
        let Kind::ConnectionsDie {
            transport_knows, ..
        } = permanent.weather.kind
        else {
            return None;
        };
        let kept = if asked.fresh_connection {
            None
        } else {
            permanent.kept.remove(&asked.host)
        };
        if let Some(idle_since) = kept {
            permanent.reusing.insert(id, idle_since);
        }
        transport_knows.then_some(kept.is_some())
    }

    /// A request reaches the server. Returns whether its connection is dead by then.
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

    /// A poll is held.
    pub(crate) fn weather_limits(&mut self, id: u64) {
        let Some(permanent) = &self.permanent else {
            return;
        };
        if let Kind::PollsAreCut { after_s, .. } | Kind::PollsVanish { after_s } =
            permanent.weather.kind
        {
            self.schedule(self.now + Duration::from_secs(after_s), Due::Cut(id));
        }
    }

    /// The time of a held poll is over.
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
                Cut::GatewayTimeout => self.leaves(id, Answer::json(504, HTML)),
                Cut::Empty => self.leaves(id, Answer::json(200, "")),
            }
        }
    }

    /// A response leaves the server.
    pub(crate) fn weather_changes(&mut self, id: u64, answer: &mut Answer) {
        let now = self.now;
        let (Some(permanent), Some(pending)) = (&mut self.permanent, self.pending.get(&id)) else {
            return;
        };
        if pending.asked.endpoint == Endpoint::Events && answer.status == 200 {
            permanent.changes(answer);
        }
        permanent.kept.insert(pending.asked.host.clone(), now);
    }

    /// How much longer a response takes.
    pub(crate) fn weather_delays(&self, id: u64) -> Duration {
        let met = self.pending.get(&id).and_then(|sent| sent.met.as_ref());
        match (&self.permanent, met) {
            (Some(_), Some(What::Answer(Fault::Status { status: 504, .. }))) => GATEWAY_TIMEOUT,
            _ => Duration::ZERO,
        }
    }

    /// Takes note of events that were appended.
    pub(crate) fn measure_appended(&mut self, events: &[Arc<str>]) {
        let visible = self.now + Duration::from_millis(self.climate.visible_after_ms);
        let Some(permanent) = &mut self.permanent else {
            return;
        };
        permanent.measures.appended(events.len(), visible);
        let odd = permanent.weather.odd;
        let again = events.iter().rev().find(|event| has_id(event) != odd);
        if let Some(event) = again {
            permanent.again = Some(event.clone());
        }
    }
}
