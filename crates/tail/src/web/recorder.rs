//! [`Metrics`]: the recorder of all metrics, and those of the program itself.
//!
//! The library records the metrics of its stream. The program adds those of its sink, and a few
//! times of the stream that alert rules need, which it reads when somebody fetches the metrics.

use std::time::{Duration, SystemTime};

use box_longpoll::monitoring::Statistics;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

use crate::sink::Failure;

const EVENTS: &str = "box_tail_events_total";
const SINK_SECONDS: &str = "box_tail_sink_seconds";
const SINK_ERRORS: &str = "box_tail_sink_errors_total";

/// The counter of the events that a sink refused, and that are in the file of dead letters.
pub(crate) const DEAD_LETTERS: &str = "box_tail_dead_letters_total";

const BUILD_INFO: &str = "box_tail_build_info";
const CAUGHT_UP: &str = "box_tail_caught_up";
const LAST_SUCCESS: &str = "box_tail_last_success_timestamp_seconds";
const NEWEST_EVENT: &str = "box_tail_newest_event_timestamp_seconds";

/// The bounds of the buckets of all histograms, in seconds. A sink on this machine takes
/// milliseconds, and an event of Box may come minutes late.
const BUCKETS: [f64; 14] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 900.0,
];

/// The recorded metrics, which can be shown.
pub(super) struct Metrics {
    recorded: PrometheusHandle,
    process: Collector,
    caught_up: Gauge,
    last_success: Gauge,
    newest_event: Gauge,
}

impl Metrics {
    /// Begins to record metrics. It is called once.
    pub(super) fn install() -> Result<Self, String> {
        let failed = |error: &dyn std::error::Error| format!("cannot record metrics: {error}");
        let prometheus = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)
            .map_err(|error| failed(&error))?
            .build_recorder();
        let recorded = prometheus.handle();
        metrics::set_global_recorder(prometheus).map_err(|error| failed(&error))?;
        describe();
        // A counter that is shown from the start on lets a rule see its first increase.
        counter!(DEAD_LETTERS).absolute(0);
        gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1);
        let process = Collector::default();
        process.describe();
        Ok(Self {
            recorded,
            process,
            caught_up: gauge!(CAUGHT_UP),
            last_success: gauge!(LAST_SUCCESS),
            newest_event: gauge!(NEWEST_EVENT),
        })
    }

    /// Returns all metrics in the format of Prometheus.
    pub(super) fn render(&self, statistics: &Statistics) -> String {
        self.caught_up.set(u32::from(statistics.is_caught_up));
        for (gauge, time) in [
            (&self.last_success, statistics.last_success_at),
            (&self.newest_event, statistics.newest_event_at),
        ] {
            let since_1970 = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
            gauge.set(since_1970.unwrap_or_default());
        }
        self.process.collect();
        self.recorded.render()
    }

    /// Moves new values of histograms into their buckets. If nobody did so, they would take more and
    /// more memory.
    pub(super) fn tidy(&self) {
        self.recorded.run_upkeep();
    }
}

/// The metrics of a sink.
pub(super) struct SinkMetrics {
    events: Counter,
    seconds: Histogram,
    unavailable: Counter,
    refused: Counter,
}

impl SinkMetrics {
    pub(super) fn new(sink: &'static str) -> Self {
        let errors = |kind| {
            let counter = counter!(SINK_ERRORS, "sink" => sink, "kind" => kind);
            counter.absolute(0);
            counter
        };
        let events = counter!(EVENTS, "sink" => sink);
        events.absolute(0);
        Self {
            events,
            seconds: histogram!(SINK_SECONDS, "sink" => sink),
            unavailable: errors("unavailable"),
            refused: errors("refused"),
        }
    }

    /// Takes the end of a write without an error.
    pub(super) fn wrote(&self, events: usize, took: Duration) {
        self.events.increment(events as u64);
        self.seconds.record(took);
    }

    /// Takes the end of a write that failed after some events.
    pub(super) fn failed(&self, events: usize, kind: Failure, took: Duration) {
        self.wrote(events, took);
        match kind {
            Failure::Unavailable | Failure::Permanent => self.unavailable.increment(1),
            Failure::Refused => self.refused.increment(1),
            // The program ends, as its reader wants.
            Failure::ReaderLeft => {}
        }
    }
}

fn describe() {
    let count = Unit::Count;
    describe_counter!(EVENTS, count, "Events that the sink has written.");
    describe_histogram!(
        SINK_SECONDS,
        Unit::Seconds,
        "Time that the sink took to write a page, with or without success."
    );
    describe_counter!(
        SINK_ERRORS,
        count,
        "Failed attempts to write a page, by kind: unavailable, or refused by the receiver."
    );
    describe_counter!(
        DEAD_LETTERS,
        count,
        "Events that the sink refused, and that are in the file of dead letters."
    );
    describe_gauge!(BUILD_INFO, count, "The version of the program.");
    describe_gauge!(
        CAUGHT_UP,
        count,
        "1 if Box has no more events than those that were written."
    );
    describe_gauge!(
        LAST_SUCCESS,
        Unit::Seconds,
        "Time of the last request that succeeded, in seconds since 1970. 0 if there is none."
    );
    describe_gauge!(
        NEWEST_EVENT,
        Unit::Seconds,
        "Time at which Box created the newest delivered event, in seconds since 1970. 0 if there \
         is none."
    );
}
