//! An enterprise's events over each backend, by both facades.
//!
//! `tests/enterprise` proves the details on a virtual clock.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use box_longpoll::blocking::MissingEvents;
use box_longpoll::checkpoint::CheckpointFile;
use box_longpoll::enterprise::{AdminLogs, AdminLogsStreaming};
use box_longpoll::{
    AccessToken, ErrorKind, HttpTransport, LongPollClient, StartAt, Status, Update, blocking,
};
use box_longpoll_testkit::{EmulatorServer, Settings};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::{TOKEN, builder, fake_box};

type Transport = Arc<dyn HttpTransport>;

fn client(server: &EmulatorServer, backend: Backend) -> LongPollClient<Transport> {
    let token = AccessToken::new(TOKEN).unwrap();
    let builder = builder(server).page_limit(100);
    builder.build(backend.transport(), token).unwrap()
}

fn blocking_client(
    server: &EmulatorServer,
    backend: Backend,
) -> blocking::LongPollClient<Transport> {
    let token = AccessToken::new(TOKEN).unwrap();
    let builder = builder(server).page_limit(100);
    builder.build_blocking(backend.transport(), token).unwrap()
}

/// Returns settings with short intervals and a high rate limit, so that the tests end soon.
fn quick() -> AdminLogsStreaming {
    AdminLogsStreaming::default()
        .shortest_interval(Duration::from_millis(50))
        .longest_interval(Duration::from_millis(200))
        .calls_per_minute(1_000)
}

/// Makes the fake Box repeat and reorder events, and return the position 0 at the end.
fn busy_box(settings: &mut Settings) {
    settings.repeat_rate = 0.2;
    settings.reorder_rate = 0.2;
    settings.zero_position_at_the_end = true;
}

/// Asserts that all requests were for pages.
#[track_caller]
fn assert_only_pages(server: &EmulatorServer) {
    let counters = server.counters();
    assert_eq!(counters.total.requests, counters.events.requests);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn enterprise_events_arrive_once_and_in_order(#[case] backend: Backend) {
    let server = fake_box(busy_box);
    server.append(TOKEN, 500);
    let received: Vec<String> = backend.runtime().block_on(async {
        let enterprise = client(&server, backend).enterprise(quick()).unwrap();
        let mut events = enterprise.events(StartAt::Oldest);
        let mut received = Vec::new();
        while received.len() < 1_000 {
            let event = events.next().await.unwrap().unwrap();
            received.push(event.id().unwrap().to_owned());
            if received.len() % 500 == 0 && received.len() < 1_000 {
                server.append(TOKEN, 500);
            }
        }
        received
    });
    assert_eq!(received, server.event_ids(TOKEN));
    assert_only_pages(&server);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn query_brings_every_event_and_ends(#[case] backend: Backend) {
    let server = fake_box(busy_box);
    server.append(TOKEN, 1_000);
    let received: Vec<String> = backend.runtime().block_on(async {
        let query = client(&server, backend)
            .admin_logs(AdminLogs::new())
            .unwrap();
        let mut batches = query.batches(StartAt::Oldest);
        let mut received = Vec::new();
        while let Some(batch) = batches.next().await {
            let batch = batch.unwrap();
            received.extend(batch.iter().map(|event| event.id().unwrap().to_owned()));
        }
        received
    });
    assert_eq!(received, server.event_ids(TOKEN));
    assert_only_pages(&server);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn blocking_enterprise_stream_resumes_from_a_checkpoint(#[case] backend: Backend) {
    let server = fake_box(busy_box);
    server.append(TOKEN, 300);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("checkpoint");
    let mut received = Vec::new();
    for run in 1..=3 {
        let enterprise = blocking_client(&server, backend)
            .enterprise(quick())
            .unwrap();
        let store = CheckpointFile::open(&file).unwrap();
        let mut subscription = enterprise.subscribe(store, "acme", StartAt::Oldest);
        let started = subscription.next();
        assert!(
            matches!(started, Some(Ok(Update::Started(_)))),
            "{started:?}"
        );
        while received.len() < run * 300 {
            let Some(Ok(Update::Batch(batch))) = subscription.next() else {
                panic!("{}", subscription.status());
            };
            received.extend(batch.iter().map(|event| event.id().unwrap().to_owned()));
            batch.ack().unwrap();
        }
        server.append(TOKEN, 300);
        // The client's thread releases the store when it ends.
        drop((subscription, enterprise));
    }
    assert_eq!(received, server.event_ids(TOKEN)[..900]);
    assert_only_pages(&server);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn blocking_query_ends_and_a_waiting_stream_can_be_stopped(#[case] backend: Backend) {
    let server = fake_box(busy_box);
    server.append(TOKEN, 250);
    let client = blocking_client(&server, backend);
    let query = client.admin_logs(AdminLogs::new()).unwrap();
    let mut events = query.events(StartAt::Oldest);
    let received: Vec<String> = events
        .by_ref()
        .map(|event| event.unwrap().id().unwrap().to_owned())
        .collect();
    assert_eq!(received, server.event_ids(TOKEN));
    assert!(matches!(
        events.status(),
        Status::Stopped { because: None, .. }
    ));
    let events: usize = query
        .batches(StartAt::Oldest)
        .map(|batch| batch.unwrap().len())
        .sum();
    assert_eq!(events, 250);

    let enterprise = client.enterprise(AdminLogsStreaming::default()).unwrap();
    let mut events = enterprise.events(StartAt::Now);
    let mut handle = events.handle();
    let stopper = std::thread::spawn(move || {
        loop {
            let status = handle
                .changed_blocking()
                .expect("the stream has not stopped");
            // The stream has the same status before its first request, but no position yet.
            if matches!(status, Status::Waiting { .. }) && handle.resume_at().position().is_some() {
                break;
            }
        }
        handle.stop();
    });
    assert!(events.next().is_none());
    stopper.join().unwrap();
    assert_only_pages(&server);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn blocking_audit_finds_the_events_that_the_records_lack(#[case] backend: Backend) {
    let server = fake_box(|_| ());
    let created = Timestamp::now() - SignedDuration::from_hours(10 * 24);
    server.append_json(
        TOKEN,
        (0..1_000).map(|n| format!(r#"{{"event_id":"{n}","created_at":"{created:.0}"}}"#)),
    );
    let is_stored = |id: &String| !id.ends_with("77");
    let (records, lost): (Vec<String>, Vec<String>) =
        server.event_ids(TOKEN).into_iter().partition(is_stored);
    let audit = blocking_client(&server, backend)
        .audit(AdminLogs::new())
        .unwrap();
    let ids = |events: &mut MissingEvents| -> Vec<String> {
        let ids = events.map(|event| event.unwrap().id().unwrap().to_owned());
        ids.collect()
    };
    let mut events = audit.missing_from(&records);
    assert_eq!(ids(&mut events), lost);
    assert_eq!((events.checked(), events.missing()), (1_000, 10));

    let mut events = audit.missing_from_store(move |mut ids| {
        ids.retain(is_stored);
        Ok::<_, Infallible>(ids)
    });
    assert_eq!(ids(&mut events), lost);
    assert_eq!((events.checked(), events.missing()), (1_000, 10));

    let mut events = audit.missing_from_store(|_| Err("the database is gone"));
    let error = events.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lookup);
    assert!(error.display_chain().to_string().contains("is gone"));
    assert!(events.next().is_none());
    assert_only_pages(&server);
}
