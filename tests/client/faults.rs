//! Every fault that the emulator knows, in turn, while events keep coming.

use std::collections::HashSet;
use std::time::Duration;

use box_longpoll::{ErrorKind, Pace, StartAt};
use box_longpoll_testkit::{Endpoint, Fault, RequestRecord};
use rstest::rstest;

use crate::world::{TOKEN, build, builder, fake_box, id, in_time};

/// As many as come while one endpoint's faults are met.
const EVENTS: usize = 10_000;

/// The faults after which a stream rightly stops: the consumer goes on where it stopped.
const STOPS: [ErrorKind; 3] = [
    ErrorKind::Unauthorized,
    ErrorKind::Forbidden,
    ErrorKind::PositionRejected,
];

#[rstest]
#[case::of_the_server_list(Endpoint::Options)]
#[case::of_the_pages(Endpoint::Events)]
#[case::of_the_polls(Endpoint::Realtime)]
#[tokio::test]
async fn every_event_comes_once_and_in_order_through_every_fault(#[case] endpoint: Endpoint) {
    let server = fake_box(|settings| {
        settings.repeat_rate = 0.02;
        settings.short_page_rate = 0.1;
        settings.realtime_servers = 3;
        // Short, so that each endpoint is asked often.
        settings.hold_ms = 200;
        settings.polls_per_url = Some(2);
    });
    let faults: Vec<Fault> = Fault::all()
        .into_iter()
        .filter(|fault| fault.applies_to(endpoint))
        .collect();
    let client = build(
        builder(&server)
            .api_timeout(Duration::from_secs(1))
            .max_hold(Duration::from_secs(1)),
    );

    let mut first_seen: Vec<String> = Vec::with_capacity(EVENTS);
    let mut known = HashSet::new();
    let mut of_this_stream = HashSet::new();
    let mut stream = client.batches(StartAt::Oldest);
    let mut starts = vec![0];
    let mut met = 0;
    let share = EVENTS / faults.len();
    let follow = async {
        loop {
            // The next fault comes when the one before it has been met.
            if server.emulator().queued_faults() == 0 && met < faults.len() {
                server.queue_fault(endpoint, faults[met].clone(), 1);
                met += 1;
                let rest = EVENTS - share * (faults.len() - 1);
                server.append(TOKEN, if met < faults.len() { share } else { rest });
            }
            if met == faults.len() && known.len() == EVENTS {
                return;
            }
            let wait = tokio::time::timeout(Duration::from_millis(50), stream.next());
            match wait.await {
                Err(_) => {}
                Ok(Some(Ok(batch))) => {
                    for id in batch.iter().map(id) {
                        assert!(of_this_stream.insert(id.clone()), "{id} came twice");
                        if known.insert(id.clone()) {
                            first_seen.push(id);
                        }
                    }
                }
                Ok(Some(Err(error))) => {
                    assert!(STOPS.contains(&error.kind()), "{error:?}");
                    // A stream that starts anew does not remember what the one before it delivered.
                    of_this_stream.clear();
                    starts.push(server.requests().len());
                    let resume = stream.position().cloned();
                    stream = client.batches(resume.map_or(StartAt::Oldest, StartAt::At));
                }
                Ok(None) => panic!("an end without an error"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(240), follow)
        .await
        .unwrap_or_else(|_| panic!("stuck in {}", faults[met - 1].name()));

    assert!(
        first_seen == server.event_ids(TOKEN),
        "not the order of the log"
    );
    let requests = server.requests();
    starts.push(requests.len());
    for stream in starts.windows(2) {
        assert_paced(&requests[stream[0]..stream[1]]);
    }
}

/// At most 5 requests in any second, and 120 in any minute, bring nothing new.
#[track_caller]
fn assert_paced(requests: &[RequestRecord]) {
    let vain: Vec<u64> = requests
        .iter()
        .filter(|request| request.new_events == 0)
        .map(|request| request.at_ms)
        .collect();
    for (most, window) in [(5, 1_000), (120, 60_000)] {
        for (n, start) in vain.iter().enumerate() {
            let within = vain[n..]
                .iter()
                .take_while(|at| **at <= start + window)
                .count();
            assert!(within <= most, "{within} requests within {window} ms");
        }
    }
}

#[tokio::test]
async fn an_endless_or_huge_body_is_given_up_at_the_cap() {
    let server = fake_box(|_| ());
    let client = build(builder(&server).pace(Pace::default().burst(100)));
    for endpoint in [Endpoint::Options, Endpoint::Events] {
        for fault in [Fault::EndlessBody, Fault::HugeBody { bytes: 100 << 20 }] {
            server.queue_fault(endpoint, fault, 1);
            in_time(async {
                match endpoint {
                    Endpoint::Options => client.realtime_servers().await.map(drop).unwrap_err(),
                    _ => client.fetch(StartAt::Now).await.map(drop).unwrap_err(),
                }
            })
            .await;
        }
    }
}
