//! Every fault of the emulator, one after the other, while new events are appended.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use box_longpoll::config::Pace;
use box_longpoll::{AccessToken, ErrorKind, StartAt};
use box_longpoll_testkit::{Endpoint, Fault};
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::{TOKEN, builder, fake_box};
use crate::follower::{Facade, client_over};
use crate::pace::quick;
#[cfg(feature = "reqwest")]
use crate::pace::{assert_paced, fruitless};
use crate::watched::{Sent, Watched};

/// The errors with which a stream may stop. The test then starts another one at its position.
const STOPS: [ErrorKind; 3] = [
    ErrorKind::Unauthorized,
    ErrorKind::Forbidden,
    ErrorKind::PositionRejected,
];

/// Follows an account while the stream meets each fault of the endpoint, one after the other.
///
/// The events are appended in equal shares, one share for each fault. Returns the requests of each
/// stream that was needed.
#[track_caller]
fn follow_through_every_fault(
    endpoint: Endpoint,
    backend: Backend,
    facade: Facade,
    pace: Pace,
    events: usize,
) -> Vec<Vec<Sent>> {
    let server = fake_box(|settings| {
        settings.repeat_rate = 0.02;
        settings.short_page_rate = 0.1;
        settings.realtime_servers = 3;
        // Holds are short, so that each endpoint gets many requests.
        settings.hold_ms = 200;
        settings.polls_per_url = Some(2);
    });
    let faults: Vec<Fault> = Fault::all()
        .into_iter()
        .filter(|fault| fault.applies_to(endpoint))
        .collect();
    let transport = Arc::new(Watched::new(backend.transport()));
    let follow = client_over(
        backend,
        facade,
        builder(&server)
            .api_timeout(Duration::from_secs(1))
            .max_hold(Duration::from_secs(1))
            .pace(pace),
        transport.clone(),
        Arc::new(AccessToken::new(TOKEN).unwrap()),
    );

    let mut first_seen: Vec<String> = Vec::with_capacity(events);
    let mut known = HashSet::new();
    let mut of_this_stream = HashSet::new();
    let mut stream = follow(StartAt::Oldest);
    let mut starts = vec![0];
    let mut met = 0;
    let mut empty_slices = 0;
    let share = events / faults.len();
    loop {
        // The next fault is queued when the stream has met the one before it.
        let all_met = server.emulator().queued_faults() == 0;
        if all_met && met == faults.len() && known.len() == events {
            break;
        }
        if all_met && met < faults.len() {
            server.queue_fault(endpoint, faults[met].clone(), 1);
            met += 1;
            empty_slices = 0;
            let rest = events - share * (faults.len() - 1);
            server.append(TOKEN, if met < faults.len() { share } else { rest });
        }
        match stream.next_within(Duration::from_millis(50)) {
            None => {
                empty_slices += 1;
                assert!(
                    empty_slices < 1_200,
                    "no event for 60 s after the fault {}",
                    faults[met - 1].name()
                );
            }
            Some(Ok(batch)) => {
                for event in &batch {
                    let id = event.id().expect("the emulator's events have ids");
                    assert!(
                        of_this_stream.insert(id.to_owned()),
                        "event {id} was delivered twice"
                    );
                    if known.insert(id.to_owned()) {
                        first_seen.push(id.to_owned());
                    }
                }
            }
            Some(Err(error)) => {
                assert!(STOPS.contains(&error.kind()), "{error:?}");
                // A new stream does not know which events the one before it has delivered.
                of_this_stream.clear();
                starts.push(transport.sent().len());
                stream = follow(stream.resume_at());
            }
        }
    }

    assert!(
        first_seen == server.event_ids(TOKEN),
        "the events are not in the order of the log"
    );
    let sent = transport.sent();
    starts.push(sent.len());
    starts
        .windows(2)
        .map(|stream| sent[stream[0]..stream[1]].to_vec())
        .collect()
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn every_event_arrives_once_in_order_through_every_fault(
    #[case] backend: Backend,
    #[values(Facade::Async, Facade::Blocking)] facade: Facade,
    #[values(Endpoint::Options, Endpoint::Events, Endpoint::Realtime)] endpoint: Endpoint,
) {
    follow_through_every_fault(endpoint, backend, facade, quick(), 2_000);
}

#[cfg(feature = "reqwest")]
#[rstest]
fn every_event_arrives_once_in_order_at_the_default_pace(
    #[values(Endpoint::Options, Endpoint::Events, Endpoint::Realtime)] endpoint: Endpoint,
) {
    let (backend, pace) = (Backend::Reqwest, Pace::default());
    for stream in follow_through_every_fault(endpoint, backend, Facade::Async, pace, 10_000) {
        assert_paced(fruitless(&stream));
    }
}
