//! Tests of what the metrics record, with the times of a virtual clock.

use ::metrics::with_local_recorder;
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
