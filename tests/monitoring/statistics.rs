//! The numbers of a stream, compared with those of the emulator.

use std::time::{Duration, SystemTime};

use box_longpoll::monitoring::{Statistics, WaitCause};
use box_longpoll::{StartAt, Status, Update};
use box_longpoll_testkit::{Endpoint, Fault};

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::store::Memory;
use crate::world::{block_on, build, idle_until, until};

#[test]
fn requests_and_events_are_those_that_the_server_counts() {
    block_on(async {
        let server = fake_box(|_| ());
        let event = |id| format!(r#"{{"event_id":"{id}","created_at":"2026-01-01T00:00:00Z"}}"#);
        server.append_json(TOKEN, ["a", "b", "a"].map(event));
        server.queue_fault(Endpoint::Events, Fault::ServerError, 1);
        server.queue_fault(Endpoint::Events, Fault::RateLimited { seconds: 0 }, 1);
        server.queue_fault(Endpoint::Options, Fault::ServerError, 1);
        server.queue_fault(Endpoint::Realtime, Fault::Unavailable, 1);
        let mut batches = build(builder(&server)).batches(StartAt::Oldest);
        assert_eq!(batches.statistics(), Statistics::default());
        assert_eq!(batches.next().await.unwrap().unwrap().len(), 2);
        until(&mut batches, &server, |box_| {
            box_.queued_faults() == 0 && box_.counters().open_polls == 1
        })
        .await;
        server.append(TOKEN, 1);
        assert_eq!(batches.next().await.unwrap().unwrap().len(), 1);
        batches.handle().stop();
        assert!(batches.next().await.is_none());

        let (counters, statistics) = (server.counters(), batches.statistics());
        assert_eq!(statistics.fetches.ended(), counters.events.requests);
        assert_eq!(statistics.polls.ended(), counters.realtime.requests);
        assert_eq!(statistics.requests(), counters.total.requests);
        let fetches = statistics.fetches;
        assert_eq!((fetches.failed, fetches.rate_limited), (1, 1));
        assert_eq!((statistics.polls.failed, statistics.lists.failed), (1, 1));
        assert_eq!(statistics.rate_limited(), 1);
        assert_eq!((statistics.events, statistics.batches), (3, 2));
        assert_eq!(
            statistics.events + statistics.repeats,
            counters.events_served
        );
        assert!(statistics.bytes > 100);
        // The failed fetches, and then the failed list and the failed poll.
        assert_eq!(statistics.retries, 4);
        assert_eq!(statistics.failures, statistics.recoveries);
        assert_eq!(statistics.connected_since, None, "it has stopped");
        assert!(!statistics.is_caught_up);
    });
}

#[test]
fn health_is_shown_while_a_stream_listens_and_while_it_retries() {
    block_on(async {
        let server = fake_box(|_| ());
        server.append_json(
            TOKEN,
            [r#"{"event_id":"a","created_at":"2026-01-01T00:00:00Z"}"#],
        );
        let mut batches = build(builder(&server)).batches(StartAt::Oldest);
        batches.next().await.unwrap().unwrap();
        let statistics = batches.statistics();
        assert!(!statistics.is_caught_up, "the batch is not handled");
        let new_year = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        assert_eq!(statistics.newest_event_at, Some(new_year));

        idle_until(&mut batches, |batches| {
            matches!(batches.status(), Status::Listening { .. })
        })
        .await;
        let healthy = batches.statistics();
        assert!(healthy.is_caught_up && healthy.wait.is_none());
        assert!(healthy.connected_since.is_some() && healthy.failing_since.is_none());
        assert!(healthy.connected_since <= healthy.last_success_at);
        assert!(healthy.caught_up_at >= healthy.connected_since);
        assert!(healthy.last_delivery_at > healthy.newest_event_at);
        assert_eq!(healthy.complete_until, batches.complete_until());

        server.queue_fault(Endpoint::Events, Fault::RateLimited { seconds: 3_600 }, 1);
        server.append(TOKEN, 1);
        idle_until(&mut batches, |batches| {
            matches!(batches.status(), Status::Retrying { .. })
        })
        .await;
        let troubled = batches.handle().statistics();
        assert!(!troubled.is_caught_up);
        assert_eq!((troubled.failures, troubled.recoveries), (1, 0));
        assert_eq!(troubled.connected_since, None);
        assert!(troubled.failing_since > healthy.connected_since);
        let wait = troubled.wait.unwrap();
        assert_eq!(wait.cause, WaitCause::RateLimit);
        let lasts = wait.until.unwrap().duration_since(wait.since).unwrap();
        assert!(lasts > Duration::from_secs(3_500), "{lasts:?}");
    });
}

#[test]
fn unacknowledged_batches_and_the_wait_for_them_are_shown() {
    block_on(async {
        let server = fake_box(|_| ());
        server.append(TOKEN, 3);
        let client = build(builder(&server).page_limit(1).max_unacknowledged(2));
        let mut subscription = client.subscribe(Memory::default(), "ada", StartAt::Oldest);
        let mut batches = Vec::new();
        while batches.len() < 2 {
            if let Update::Batch(batch) = subscription.next().await.unwrap().unwrap() {
                batches.push(batch);
                assert_eq!(subscription.statistics().unacknowledged, batches.len());
            }
        }
        idle_until(&mut subscription, |subscription| {
            matches!(subscription.status(), Status::AwaitingAcks { .. })
        })
        .await;
        let wait = subscription.statistics().wait.unwrap();
        assert_eq!((wait.cause, wait.until), (WaitCause::Acknowledgement, None));
        // An acknowledgement counts at once, although nobody polls the subscription.
        let handle = subscription.handle();
        batches.remove(0).ack().await.unwrap();
        assert_eq!(handle.statistics().unacknowledged, 1);
        batches.remove(0).ack().await.unwrap();
        assert_eq!(handle.statistics().unacknowledged, 0);
    });
}

/// The statuses between two calls of `changed` are skipped.
#[test]
fn no_failure_is_lost_between_two_looks() {
    block_on(async {
        let server = fake_box(|_| ());
        let mut batches = build(builder(&server)).batches(StartAt::Oldest);
        let mut handle = batches.handle();
        for round in 1..=5 {
            server.queue_fault(Endpoint::Events, Fault::ServerError, 1);
            server.append(TOKEN, 1);
            batches.next().await.unwrap().unwrap();
            idle_until(&mut batches, |batches| {
                batches.statistics().recoveries == round
            })
            .await;
            assert_eq!(handle.statistics().failures, round);
        }
        assert!(!matches!(
            handle.changed().await,
            Some(Status::Retrying { .. })
        ));
    });
}
