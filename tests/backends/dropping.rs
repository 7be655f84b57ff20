//! Iterators that are dropped while a poll is held, on each executor: the poll must end.

use std::sync::Arc;
use std::time::Duration;

use box_longpoll::blocking::{Iter, LongPollClient, Timed};
use box_longpoll::{AccessToken, Event, HttpTransport, StartAt};
use rstest::rstest;

use crate::backend::Backend;
use crate::executors::{Task, current_thread_tokio, in_smol, multi_thread_tokio, plain_thread};
use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};

type Client = LongPollClient<Arc<dyn HttpTransport>>;
type Events = Iter<Event>;

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
fn dropping_the_iterator_ends_its_held_request(
    #[case] backend: Backend,
    #[values(plain_thread, current_thread_tokio, multi_thread_tokio, in_smol)] executor: fn(Task),
) {
    executor(Box::pin(async move {
        assert_ends(backend, |client, events| {
            drop(events);
            Some(client)
        });
    }));
}

/// Proves the limit of isahc: its library keeps the socket of a dropped request open until the
/// response arrives or the library's client is dropped.
#[cfg(feature = "isahc")]
#[rstest]
fn isahc_ends_its_held_request_when_the_client_is_dropped_too(
    #[values(plain_thread, current_thread_tokio, multi_thread_tokio, in_smol)] executor: fn(Task),
) {
    executor(Box::pin(async {
        assert_ends(Backend::Isahc, |client, events| {
            drop((client, events));
            None
        });
    }));
}

/// Asserts that `let_go` ends the held poll. The server would hold it for an hour.
#[track_caller]
fn assert_ends(backend: Backend, let_go: fn(Client, Events) -> Option<Client>) {
    let server = fake_box(|settings| settings.hold_ms = 3_600_000);
    let token = AccessToken::new(TOKEN).unwrap();
    let client = builder(&server)
        .build_blocking(backend.transport(), token)
        .unwrap();
    let mut events = client.events(StartAt::Now);
    while server.counters().open_polls == 0 {
        let next = events.next_timeout(Duration::from_millis(20));
        assert!(matches!(next, Timed::Elapsed), "{next:?}");
    }
    let kept = let_go(client, events);
    let ended = server.wait_until(PATIENCE, |emulator| emulator.counters().open_polls == 0);
    assert!(ended, "the poll is still open");
    drop(kept);
}
