//! Tests of what the metrics record, with the times of a virtual clock.

use std::sync::atomic::{AtomicU64, Ordering};

use ::metrics::{
    Counter, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::*;

fn telemetry() -> Arc<Telemetry> {
    let (config, status) = (Arc::default(), Status::Fetching);
    Arc::new(Telemetry::new(&config, None, status, StartAt::Now))
}

fn second(n: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(n)
}

#[test]
fn rest_of_a_wait_is_recorded_when_the_stream_ends() {
    let recorder = DebuggingRecorder::new();
    with_local_recorder(&recorder, || {
        let telemetry = telemetry();
        let began = Moment::read_clocks();
        let health = Health {
            now: began,
            works_since: None,
            is_paced: false,
            caught_up_at: None,
        };
        telemetry.show(Status::Authorizing, &health);
        let ended = Moment {
            monotonic: began.monotonic + Duration::from_secs(7),
            ..began
        };
        telemetry.stop(None, Some(ended));
    });
    let values = recorder.snapshotter().snapshot().into_vec();
    let waited = values.into_iter().find_map(|(key, _, _, value)| {
        let is_wait = key.key().name() == "box_longpoll_waiting_seconds_total";
        is_wait.then_some(value)
    });
    assert_eq!(waited, Some(DebugValue::Counter(7)));
}

/// A recorder of one gauge. Before it takes a value, another acknowledgement moves the stream on.
struct Overtaking {
    gauge: Arc<OvertakenGauge>,
}

struct OvertakenGauge {
    telemetry: Arc<Telemetry>,
    seconds: AtomicU64,
}

impl GaugeFn for OvertakenGauge {
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {}

    fn set(&self, seconds: f64) {
        self.telemetry.completed(Some(second(20)));
        self.seconds.store(seconds.to_bits(), Ordering::Relaxed);
    }
}

impl Recorder for Overtaking {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.gauge.clone())
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn newest_time_stays_when_another_thread_overtakes() {
    let telemetry = telemetry();
    let gauge = Arc::new(OvertakenGauge {
        telemetry: telemetry.clone(),
        seconds: AtomicU64::default(),
    });
    let recorder = Overtaking {
        gauge: gauge.clone(),
    };
    with_local_recorder(&recorder, || telemetry.completed(Some(second(10))));
    let shown = f64::from_bits(gauge.seconds.load(Ordering::Relaxed));
    assert!((shown - 20.0).abs() < 0.001, "{shown}");
}
