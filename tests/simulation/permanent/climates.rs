//! The permanent climates, and the bounds that hold in each of them while it lasts.
//!
//! A bound is as tight as the client's documented waits allow, and carries its reason. The weather
//! itself is in `weather`, and the measurements are in `measures`. Start at [`CLIMATES`].

use std::time::Duration;

use box_longpoll_testkit::PollPosition;
use fastrand::Rng;

use super::weather::{Cut, Dies, Kind, Late, Missing, Weather};
use crate::climate::{Climate, Consumer, Start};
use crate::scenario::Scenario;

/// A permanent climate.
pub(crate) struct Row {
    pub(super) name: &'static str,
    /// The duration of a run in simulated hours.
    hours: f64,
    /// Chooses the kind of weather, with random figures.
    kind: fn(&mut Rng) -> Kind,
    /// Changes the rest of the climate, and the times of events.
    change: fn(&mut Rng, &mut Climate, &mut Weather),
    pub(super) bounds: Bounds,
}

/// The bounds while a climate lasts. `usual` and `listened` hold for all runs together, the others
/// hold for each run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The time that the client needs to learn the climate.
    pub(super) learned_after: Duration,
    /// The longest delay of an event before that.
    pub(super) longest_at_first: Duration,
    /// The delay that 99 % of the events after that don't exceed.
    pub(super) usual: Duration,
    /// The longest delay of an event after that.
    pub(super) longest: Duration,
    /// The time by which the backlog is delivered.
    pub(super) caught_up: Duration,
    /// The smallest share of the time with a held poll, in percent.
    pub(super) listened: f64,
    /// The largest number of calls in any minute.
    pub(super) calls: usize,
    /// The largest number of pages in any minute that are less than half full.
    pub(super) small_pages: usize,
    /// The reason why the bounds are not tighter.
    pub(super) why: &'static str,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The bounds of fair weather. An event costs a signal, a fetch, and another fetch that finds
/// nothing more: less than five trips of 30 ms. A poll ends by itself after 10 minutes. After it
/// come a fetch, a list and a poll.
const FAIR: Bounds = Bounds {
    learned_after: Duration::ZERO,
    longest_at_first: Duration::ZERO,
    usual: millis(200),
    longest: millis(500),
    caught_up: seconds(60),
    listened: 99.0,
    calls: 60,
    small_pages: 40,
    why: "six events come in a minute, each with its signal, its pages and its late checks",
};

/// The bounds if a proxy cuts polls.
const CUT: Bounds = Bounds {
    why: "a cut costs a fetch, a list and a poll, less than seven trips of 30 ms, without a pause",
    listened: 98.0,
    ..FAIR
};

pub(crate) const CLIMATES: &[Row] = &[
    Row {
        name: "fair",
        hours: 1.5,
        kind: |_| Kind::Fair,
        change: by_any_start,
        bounds: FAIR,
    },
    Row {
        name: "polls are cut after 20 s",
        hours: 0.5,
        kind: |rng| polls_are_cut(rng, 20),
        change: by_any_start,
        bounds: CUT,
    },
    Row {
        name: "polls are cut after 60 s",
        hours: 1.0,
        kind: |rng| polls_are_cut(rng, 60),
        change: by_any_start,
        bounds: CUT,
    },
    Row {
        name: "polls are cut after 110 s",
        hours: 1.5,
        kind: |rng| polls_are_cut(rng, 110),
        change: by_any_start,
        bounds: CUT,
    },
    Row {
        name: "connections die when reused",
        hours: 1.0,
        kind: |rng| Kind::ConnectionsDie {
            dies: *pick(rng, &[Dies::Soon, Dies::OnSecondRequest]),
            transport_knows: rng.bool(),
        },
        change: by_any_start,
        bounds: Bounds {
            usual: millis(300),
            longest: millis(1_500),
            listened: 97.0,
            calls: 80,
            why: "each request is sent twice, without a pause. The first try costs a round trip, \
                  and the rate limit may admit only five requests in a second",
            ..FAIR
        },
    },
    Row {
        name: "1 % of the calls fail",
        hours: 1.5,
        kind: |_| Kind::CallsFail { percent: 1 },
        change: nothing,
        bounds: Bounds {
            usual: millis(600),
            longest: seconds(10),
            why: "a failed fetch costs up to 250 ms. Three in a row cost up to 6 s, and are one in \
                  a million",
            ..FAIR
        },
    },
    Row {
        name: "5 % of the calls fail",
        hours: 1.5,
        kind: |_| Kind::CallsFail { percent: 5 },
        change: nothing,
        bounds: Bounds {
            usual: seconds(1),
            longest: seconds(70),
            listened: 98.0,
            why: "two failures in a row are one in 400, and cost up to 1.75 s. Five are one in \
                  three million, and cost 60 s",
            ..FAIR
        },
    },
    Row {
        name: "10 % of the calls fail",
        hours: 1.5,
        kind: |_| Kind::CallsFail { percent: 10 },
        change: nothing,
        bounds: Bounds {
            usual: millis(1_500),
            longest: seconds(130),
            listened: 98.0,
            why: "two failures in a row are less than one in 100, since a request that dies with \
                  its connection is sent again at once. They cost up to 1.75 s, and five in a row \
                  cost 60 s",
            ..FAIR
        },
    },
    Row {
        name: "20 % of the calls fail",
        hours: 1.5,
        kind: |_| Kind::CallsFail { percent: 20 },
        change: nothing,
        bounds: Bounds {
            usual: seconds(5),
            longest: seconds(180),
            listened: 95.0,
            calls: 80,
            why: "three failures in a row are one in 125, and cost up to 6 s. Seven in a row cost \
                  three minutes",
            ..FAIR
        },
    },
    Row {
        name: "large pages come too late",
        hours: 0.6,
        kind: |rng| Kind::PagesAreLate {
            above: *pick(rng, &[100, 200]),
            by: *pick(rng, &[Late::Silent, Late::GatewayTimeout, Late::Cut]),
        },
        change: |_, _, weather| weather.backlog = 5_000,
        bounds: Bounds {
            learned_after: seconds(1_800),
            longest_at_first: seconds(1_800),
            usual: seconds(70),
            longest: seconds(200),
            caught_up: seconds(1_800),
            listened: 50.0,
            calls: 200,
            why: "if three page sizes are too large, they cost three timeouts of 60 s. The page \
                  limit grows back after at least eight pages, and each time costs one more \
                  timeout",
            ..FAIR
        },
    },
    Row {
        name: "positions move by themselves",
        hours: 0.1,
        kind: |_| Kind::PositionsMove,
        change: nothing,
        bounds: Bounds {
            usual: seconds(1),
            longest: seconds(3),
            listened: 20.0,
            calls: 120,
            why: "100 pages take 50 s at the rate limit. Meanwhile the next page finds an event",
            ..FAIR
        },
    },
    Row {
        name: "positions have 600 bytes",
        hours: 0.3,
        kind: |_| Kind::PositionsAreLong { bytes: 600 },
        change: |_, _, weather| weather.backlog = 1_000,
        bounds: Bounds {
            why: "the client sends a position back unchanged, regardless of its length",
            ..FAIR
        },
    },
    Row {
        name: "polls ignore positions",
        hours: 1.5,
        kind: |_| Kind::Fair,
        change: |_, climate, weather| {
            climate.poll_position = PollPosition::Ignored;
            weather.burst = 3;
            weather.apart_ms = 500;
        },
        bounds: Bounds {
            usual: seconds(4),
            longest: seconds(615),
            listened: 50.0,
            calls: 80,
            why: "a signal between a fetch and the poll is lost. After a signal the late checks \
                  find its event. After a poll that ended by itself, the client finds it when the \
                  next poll ends",
            ..FAIR
        },
    },
    Row {
        name: "polls ignore positions, events show late",
        hours: 1.5,
        kind: |_| Kind::Fair,
        change: |rng, climate, weather| {
            climate.poll_position = PollPosition::Ignored;
            climate.visible_after_ms = *pick(rng, &[500, 2_000, 5_000, 10_000, 20_000]);
            weather.burst = 2;
            weather.apart_ms = 500;
        },
        bounds: Bounds {
            usual: seconds(16),
            longest: seconds(615),
            listened: 50.0,
            calls: 80,
            why: "the first late check after 20 s comes after 32 s. A signal that crosses the end \
                  of a poll is lost",
            ..FAIR
        },
    },
    Row {
        name: "a busy account",
        hours: 0.023,
        kind: |_| Kind::Fair,
        change: |_, _, weather| {
            weather.every_ms = (20, 100);
            (weather.busy_s, weather.quiet_s) = (80, 60);
        },
        bounds: Bounds {
            usual: seconds(1),
            longest: seconds(2),
            listened: 0.0,
            calls: 400,
            small_pages: 240,
            why: "the client fetches small pages at most 240 times a minute, so four times a \
                  second. Meanwhile it need not listen",
            ..FAIR
        },
    },
    Row {
        name: "no server list",
        hours: 1.5,
        kind: |rng| Kind::NoServers {
            by: *pick(rng, &[Missing::NotFound, Missing::Silent, Missing::Empty]),
        },
        change: nothing,
        bounds: Bounds {
            usual: seconds(72),
            longest: seconds(75),
            listened: 93.0,
            why: "the client fetches every 30 to 60 s, and a request for a list without a response \
                  takes 10 s",
            ..FAIR
        },
    },
    Row {
        name: "polls vanish after 5 minutes",
        hours: 3.0,
        kind: |_| Kind::PollsVanish { after_s: 300 },
        change: |rng, climate, weather| {
            by_any_start(rng, climate, weather);
            // The client can only learn after a silent poll.
            weather.every_ms = (10_000, 1_200_000);
        },
        bounds: Bounds {
            learned_after: seconds(3_600),
            longest_at_first: seconds(320),
            usual: seconds(10),
            longest: seconds(320),
            listened: 95.0,
            why: "a poll takes 615 s until one has vanished, and once more when the client tests \
                  whether polls still vanish",
            ..FAIR
        },
    },
    Row {
        name: "pages go to and fro, known ids",
        hours: 0.5,
        kind: |_| Kind::PagesGoToAndFro,
        change: |_, _, weather| weather.backlog = 10,
        bounds: Bounds {
            calls: 120,
            listened: 98.0,
            why: "a page whose position came before in the same drain ends it",
            ..FAIR
        },
    },
    Row {
        name: "pages go to and fro, no ids",
        hours: 0.2,
        kind: |_| Kind::PagesGoToAndFro,
        change: |_, _, weather| {
            weather.backlog = 10;
            weather.odd = true;
        },
        bounds: Bounds {
            calls: 120,
            listened: 97.0,
            why: "a page whose position came before in the same drain ends it",
            ..FAIR
        },
    },
    Row {
        name: "a captive portal now and then",
        hours: 1.5,
        kind: |rng| Kind::Portal {
            every_s: rng.u64(1_200..3_600),
            for_s: rng.u64(5..90),
            status: *pick(rng, &[400, 401, 403]),
        },
        change: nothing,
        bounds: Bounds {
            usual: seconds(60),
            longest: seconds(160),
            listened: 95.0,
            why: "the portal stays for up to 90 s, and the backoff after that may have grown to 60 \
                  s",
            ..FAIR
        },
    },
];

/// Returns a scenario with a backlog of 2,000 pages and a round trip of 200 ms, in which `percent`
/// of the requests fail.
pub(super) fn backlog(seed: u64, percent: u32) -> Scenario {
    let weather = Weather {
        backlog: 10_000,
        ..Weather::new("a backlog", Kind::CallsFail { percent })
    };
    Scenario {
        seed,
        climate: Climate {
            page_limit: 5,
            latency_ms: 100,
            heals_after_ms: 4 * 3_600 * 1_000,
            permanent: Some(weather),
            ..Climate::default()
        },
        incidents: Vec::new(),
    }
}

/// Returns the bounds of a weather by its name. A weather without a row has the bounds of fair
/// weather.
pub(super) fn bounds(name: &str) -> &'static Bounds {
    let row = CLIMATES.iter().find(|row| row.name == name);
    row.map_or(&FAIR, |row| &row.bounds)
}

impl Row {
    /// Returns the climate of one run.
    pub(super) fn climate(&self, rng: &mut Rng, hours: Option<f64>) -> Climate {
        let kind = (self.kind)(rng);
        let hours = hours.unwrap_or(self.hours);
        let consumers = [Consumer::Batches, Consumer::Events, Consumer::Subscription];
        let mut climate = Climate {
            consumer: *pick(rng, &consumers),
            latency_ms: *pick(rng, &[10, 20, 30]),
            heals_after_ms: Duration::from_secs_f64(hours * 3_600.0)
                .as_millis()
                .try_into()
                .unwrap_or(u64::MAX),
            ..Climate::default()
        };
        let mut weather = Weather::new(self.name, kind);
        (self.change)(rng, &mut climate, &mut weather);
        climate.permanent = Some(weather);
        climate
    }
}

fn nothing(_: &mut Rng, _: &mut Climate, _: &mut Weather) {}

fn by_any_start(rng: &mut Rng, climate: &mut Climate, _: &mut Weather) {
    climate.start = *pick(rng, &[Start::Oldest, Start::Now]);
}

fn polls_are_cut(rng: &mut Rng, after_s: u64) -> Kind {
    let ways = [Cut::Interrupted, Cut::Body, Cut::GatewayTimeout, Cut::Empty];
    Kind::PollsAreCut {
        after_s,
        by: *pick(rng, &ways),
    }
}

fn pick<'a, T>(rng: &mut Rng, all: &'a [T]) -> &'a T {
    &all[rng.usize(..all.len())]
}
