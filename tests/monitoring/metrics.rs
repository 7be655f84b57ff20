//! The metrics of streams, compared with the numbers of the emulator.

use std::collections::BTreeMap;
use std::time::Duration;

use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::{StartAt, Update};
use box_longpoll_testkit::{Endpoint, Fault, PastEvents};
use metrics::with_local_recorder;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::store::{Behaviour, Memory};
use crate::world::{block_on, build, idle_until, until};

/// The metrics of one test.
struct Metrics {
    snapshotter: Snapshotter,
    /// The values so far. A snapshot has only the changes since the one before.
    counts: BTreeMap<String, u64>,
    gauges: BTreeMap<String, f64>,
    observed: BTreeMap<String, Vec<f64>>,
}

impl Metrics {
    fn refresh(&mut self) {
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            let (_, key) = key.into_parts();
            let labels = key
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()));
            let mut labels: Vec<_> = labels.collect();
            labels.sort();
            let name = format!("{}{{{}}}", key.name(), labels.join(","));
            match value {
                DebugValue::Counter(count) => {
                    *self.counts.entry(name).or_default() += count;
                }
                DebugValue::Gauge(value) if key.name().contains("timestamp") => {
                    if value.into_inner() > 0.0 {
                        self.gauges.insert(name, value.into_inner());
                    }
                }
                DebugValue::Gauge(change) => {
                    *self.gauges.entry(name).or_default() += change.into_inner();
                }
                DebugValue::Histogram(values) => {
                    let observed = self.observed.entry(name).or_default();
                    observed.extend(values.iter().map(|value| value.into_inner()));
                }
            }
        }
    }

    /// Returns the value of a counter of a user's stream, or 0.
    fn count(&mut self, name: &str, labels: &str) -> u64 {
        self.refresh();
        let name = full_name(name, labels);
        self.counts.get(&name).copied().unwrap_or(0)
    }

    /// Returns the value of a gauge of a user's stream, or 0.
    fn gauge(&mut self, name: &str, labels: &str) -> f64 {
        self.refresh();
        let name = full_name(name, labels);
        self.gauges.get(&name).copied().unwrap_or(0.0)
    }

    /// Returns the value of a gauge that counts, as text.
    fn level(&mut self, name: &str, labels: &str) -> String {
        self.gauge(name, labels).to_string()
    }

    /// Returns the observations of a histogram of a user's stream.
    fn observed(&mut self, name: &str, labels: &str) -> Vec<f64> {
        self.refresh();
        let name = full_name(name, labels);
        self.observed.get(&name).cloned().unwrap_or_default()
    }

    fn names(&mut self) -> Vec<String> {
        self.refresh();
        let names = self.counts.keys().chain(self.gauges.keys());
        names.chain(self.observed.keys()).cloned().collect()
    }
}

fn full_name(name: &str, labels: &str) -> String {
    let mut all = vec!["stream_type=all"];
    all.extend(labels.split(',').filter(|label| !label.is_empty()));
    all.sort_unstable();
    format!("box_longpoll_{name}{{{}}}", all.join(","))
}

/// Does work on this thread, and records its metrics.
fn recorded<W: Future<Output = ()>>(work: impl FnOnce(Metrics) -> W) {
    let recorder = DebuggingRecorder::new();
    let metrics = Metrics {
        snapshotter: recorder.snapshotter(),
        counts: BTreeMap::new(),
        gauges: BTreeMap::new(),
        observed: BTreeMap::new(),
    };
    with_local_recorder(&recorder, || block_on(work(metrics)));
}

#[test]
fn each_counter_has_the_number_that_the_server_counts() {
    recorded(async |mut metrics| {
        let server = fake_box(|_| ());
        let event = |id| format!(r#"{{"event_id":"{id}","created_at":"2026-01-01T00:00:00Z"}}"#);
        server.append_json(TOKEN, ["a", "b", "a"].map(event));
        server.queue_fault(Endpoint::Events, Fault::ServerError, 1);
        server.queue_fault(Endpoint::Events, Fault::RateLimited { seconds: 2 }, 1);
        server.queue_fault(Endpoint::Events, Fault::Html, 1);
        server.queue_fault(Endpoint::Realtime, Fault::NotFound, 1);
        let mut batches = build(builder(&server)).batches(StartAt::Oldest);
        batches.next().await.unwrap().unwrap();
        until(&mut batches, &server, |box_| {
            box_.queued_faults() == 0 && box_.counters().open_polls == 1
        })
        .await;
        batches.handle().stop();
        assert!(batches.next().await.is_none());

        let (counters, statistics) = (server.counters(), batches.statistics());
        let mut requests = |call: &str, outcome: &str| {
            metrics.count("requests_total", &format!("call={call},outcome={outcome}"))
        };
        for outcome in ["server_error", "rate_limited", "unexpected"] {
            assert_eq!(requests("fetch", outcome), 1, "{outcome}");
        }
        let fetched = requests("fetch", "ok");
        assert_eq!(fetched + 3, counters.events.requests);
        assert_eq!(requests("list", "ok"), counters.options.requests);
        assert_eq!(requests("listen", "client_error"), 1);
        assert_eq!(requests("listen", "cancelled"), 1);
        assert_eq!(counters.realtime.requests, 2);
        let took = metrics.observed("request_seconds", "call=fetch");
        assert_eq!(took.len() as u64, counters.events.requests);
        assert!(
            metrics
                .observed("request_seconds", "call=listen")
                .is_empty()
        );

        assert_eq!(metrics.count("events_total", ""), 2);
        assert_eq!(metrics.count("repeats_total", ""), statistics.repeats);
        let mut retries = |kind: &str| metrics.count("retries_total", &format!("kind={kind}"));
        assert_eq!((retries("status"), retries("rate_limited")), (2, 1));
        assert_eq!(retries("unexpected_response"), 1);
        assert!(metrics.count("waiting_seconds_total", "cause=rate_limit") >= 1);
        let lags = metrics.observed("delivery_lag_seconds", "");
        assert_eq!(lags.len(), 2);
        assert!(
            lags.iter().all(|lag| *lag > 1e6),
            "the events are of January"
        );
    });
}

#[test]
fn gauges_sum_over_streams_and_end_with_them() {
    recorded(async |mut metrics| {
        let server = fake_box(|_| ());
        let client = build(builder(&server));
        let mut state = |state: &str| metrics.level("streams", &format!("state={state}"));
        let mut first = client.batches(StartAt::Now);
        let mut second = client.batches(StartAt::Now);
        assert_eq!((&*state("starting"), &*state("listening")), ("0", "0"));
        until(&mut first, &server, |box_| box_.counters().open_polls == 1).await;
        until(&mut second, &server, |box_| box_.counters().open_polls == 2).await;
        assert_eq!((&*state("starting"), &*state("listening")), ("0", "2"));

        server.queue_fault(Endpoint::Events, Fault::RateLimited { seconds: 3_600 }, 1);
        server.append(TOKEN, 1);
        idle_until(&mut first, |first| first.statistics().failures == 1).await;
        assert_eq!((&*state("retrying"), &*state("listening")), ("1", "1"));
        drop(first);
        assert_eq!(state("retrying"), "0");
        second.handle().stop();
        assert_eq!(state("listening"), "0");
    });
}

#[test]
fn subscription_has_its_checkpoints_and_unacknowledged_batches() {
    recorded(async |mut metrics| {
        let server = fake_box(|_| ());
        server.append(TOKEN, 2);
        let store = Memory::default();
        let client = build(builder(&server).page_limit(1).max_unacknowledged(2));
        let mut subscription = client.subscribe(store.clone(), "ada", StartAt::Oldest);
        let mut batches = Vec::new();
        while batches.len() < 2 {
            if let Update::Batch(batch) = subscription.next().await.unwrap().unwrap() {
                batches.push(batch);
            }
        }
        assert_eq!(metrics.level("unacknowledged_batches", ""), "2");
        let waits = tokio::time::timeout(Duration::from_millis(1_100), subscription.next()).await;
        assert!(waits.is_err());
        store.behave(Behaviour::Fails);
        batches.remove(0).ack().await.unwrap_err();
        store.behave(Behaviour::Works);
        batches.remove(0).ack().await.unwrap();
        assert_eq!(metrics.level("unacknowledged_batches", ""), "0");
        idle_until(&mut subscription, |subscription| {
            subscription.statistics().is_caught_up
        })
        .await;

        let saves = store.saves().len();
        let ok = metrics.observed("checkpoint_seconds", "outcome=ok").len();
        assert_eq!(
            metrics
                .observed("checkpoint_seconds", "outcome=error")
                .len(),
            1
        );
        assert_eq!(ok + 1, saves);
        assert_eq!(metrics.count("retries_total", "kind=checkpoint"), 1);
        assert!(metrics.count("waiting_seconds_total", "cause=acknowledgement") >= 1);
        let until = subscription.complete_until().unwrap();
        let until = until
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        let recorded = metrics.gauge("complete_until_timestamp_seconds", "");
        assert!((recorded - until.as_secs_f64()).abs() < 0.001);

        // A batch that nobody can acknowledge any more does not count.
        server.append(TOKEN, 1);
        let last = subscription.next().await.unwrap().unwrap();
        assert_eq!(metrics.level("unacknowledged_batches", ""), "1");
        drop((last, subscription));
        assert_eq!(metrics.level("unacknowledged_batches", ""), "0");
    });
}

#[test]
fn no_account_is_a_label_unless_the_program_names_the_stream() {
    recorded(async |mut metrics| {
        let server = fake_box(|_| ());
        server.append("4711", 1);
        let client = build(builder(&server)).as_user("4711").unwrap();
        client
            .batches(StartAt::Oldest)
            .next()
            .await
            .unwrap()
            .unwrap();
        let all = metrics.names();
        assert!(!all.is_empty());
        assert!(
            all.iter()
                .all(|name| !name.contains("4711") && !name.contains("stream="))
        );

        let named = client.with_stream_name("payroll").unwrap();
        named
            .batches(StartAt::Oldest)
            .next()
            .await
            .unwrap()
            .unwrap();
        assert_eq!(metrics.count("events_total", "stream=payroll"), 1);
        assert_eq!(metrics.count("events_total", ""), 1);
    });
}

#[test]
fn past_events_have_no_lag() {
    recorded(async |mut metrics| {
        let server = fake_box(|_| ());
        let past = PastEvents::year_until(server.unix(), 1_000);
        server.append_past(TOKEN, &past);
        let client = build(builder(&server));
        let client = client.enterprise(AdminLogsStreaming::default()).unwrap();
        let month_ago = jiff::Timestamp::from_second(server.unix()).unwrap()
            - jiff::SignedDuration::from_hours(30 * 24);
        let mut batches = client.batches(StartAt::Since(month_ago));
        let batch = batches.next().await.unwrap().unwrap();
        let names = metrics.names();
        let events = "box_longpoll_events_total{stream_type=admin_logs_streaming}";
        assert_eq!(metrics.counts[events], batch.len() as u64);
        assert!(
            names.iter().all(|name| !name.contains("delivery_lag")),
            "{names:?}"
        );
        let history = "box_longpoll_streams{state=history,stream_type=admin_logs_streaming}";
        assert_eq!(metrics.gauges[history].to_string(), "1");
    });
}
