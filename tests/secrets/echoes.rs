//! Tests that secrets stay hidden when a server repeats them, and that its text is escaped and cut.

use std::sync::Arc;
use std::thread;

use box_longpoll::config::Pace;
use box_longpoll::{LongPollClientBuilder, StartAt, Status, StreamHandle};
use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};
use futures_lite::future::or;
use rstest::rstest;

use crate::backend::Backend;
use crate::canary::{TOKEN, assert_hidden, echoes, list, response, said, token};
use crate::fake_box::{PATIENCE, builder, fake_box};
use crate::log;

#[derive(Clone, Copy, Debug)]
enum Facade {
    Async,
    Blocking,
}

fn quick(server: &EmulatorServer) -> LongPollClientBuilder {
    builder(server).pace(
        Pace::default()
            .per_second(1_000)
            .per_minute(100_000)
            .small_pages_per_minute(100_000),
    )
}

/// Follows a stream until the server has made all its faults, and an event has arrived after them.
/// Returns everything that the stream has shown.
fn follow(backend: Backend, facade: Facade, server: &Arc<EmulatorServer>) -> String {
    match facade {
        Facade::Async => {
            let client = quick(server).build(backend.transport(), token()).unwrap();
            let mut events = client.events(StartAt::Oldest);
            let mut watch = Watch::of(events.handle(), server);
            let watched = async {
                while let Some(status) = watch.handle.changed().await {
                    watch.note(&status);
                }
                panic!("the stream has ended");
            };
            let followed = async { events.next().await.unwrap().unwrap() };
            let too_late = async {
                smol::Timer::after(PATIENCE).await;
                panic!("{} faults are left", server.emulator().queued_faults())
            };
            let runtime = backend.runtime();
            runtime.block_on(or(or(watched, followed), too_late));
            format!("{} {events:?} {client:?}", watch.shown)
        }
        Facade::Blocking => {
            let client = quick(server)
                .build_blocking(backend.transport(), token())
                .unwrap();
            let mut events = client.events(StartAt::Oldest);
            let handle = events.handle();
            let mut watch = Watch::of(events.handle(), server);
            let watched = thread::spawn(move || {
                while let Some(status) = watch.handle.changed_blocking() {
                    watch.note(&status);
                }
                watch.shown
            });
            events.next().unwrap().unwrap();
            handle.stop();
            format!("{} {events:?} {client:?}", watched.join().unwrap())
        }
    }
}

/// Collects the statuses of a stream. When the server has made all faults, it appends an event.
struct Watch {
    handle: StreamHandle,
    server: Arc<EmulatorServer>,
    shown: String,
    has_appended: bool,
}

impl Watch {
    fn of(handle: StreamHandle, server: &Arc<EmulatorServer>) -> Self {
        Self {
            handle,
            server: server.clone(),
            shown: String::new(),
            has_appended: false,
        }
    }

    fn note(&mut self, status: &Status) {
        self.shown += &format!("{status} {status:?} {:?} ", self.handle);
        if !self.has_appended && self.server.emulator().queued_faults() == 0 {
            self.server.append(TOKEN, 1);
            self.has_appended = true;
        }
    }
}

#[rstest]
#[cfg_attr(
    feature = "reqwest",
    case::reqwest(Backend::Reqwest, Some("hyper_util"))
)]
// Below surf, only async-h1 logs, and its records are left out.
#[cfg_attr(feature = "surf", case::surf(Backend::Surf, None))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc, Some("isahc::agent")))]
fn echo_of_a_server_is_neither_shown_nor_logged(
    #[case] backend: Backend,
    #[case] http_target: Option<&str>,
    #[values(Facade::Async, Facade::Blocking)] facade: Facade,
) {
    log::keep();
    let server = fake_box(|_| ());
    for status in [200, 302, 500] {
        for echo in echoes(&server, status) {
            server.queue_fault(Endpoint::Options, echo.clone(), 1);
            server.queue_fault(Endpoint::Options, list(&server), 1);
            server.queue_fault(Endpoint::Events, echo.clone(), 1);
            server.queue_fault(Endpoint::Realtime, echo, 1);
        }
    }
    for fault in [Fault::Reset, Fault::CloseInBody, Fault::CloseInHeaders] {
        server.queue_fault(Endpoint::Realtime, fault, 1);
    }
    let shown = follow(backend, facade, &server);
    assert!(shown.contains("[access token]"), "the server was quoted");
    assert_hidden("the output", &shown);
    let log = log::text();
    for target in [Some("box_longpoll"), http_target].into_iter().flatten() {
        assert!(log.contains(target), "{target} has logged nothing");
    }
    assert_hidden("the log", &log);
}

#[cfg(feature = "reqwest")]
#[rstest]
fn error_of_a_call_repeats_no_secret(#[values(400, 401, 403, 404, 429, 503)] status: u16) {
    let server = fake_box(|_| ());
    let backend = Backend::Reqwest;
    let client = quick(&server).build(backend.transport(), token()).unwrap();
    backend.runtime().block_on(async {
        for echo in echoes(&server, status) {
            server.queue_fault(Endpoint::Options, list(&server), 1);
            let servers = client.realtime_servers().await.unwrap();
            for endpoint in [Endpoint::Options, Endpoint::Events, Endpoint::Realtime] {
                // After a 400 from Box itself, the client lists the servers again, without the
                // stream type.
                let lists_again = endpoint == Endpoint::Options && status == 400;
                server.queue_fault(endpoint, echo.clone(), 1 + u32::from(lists_again));
            }
            let of_a_page = client.fetch(StartAt::Now).await.unwrap_err();
            let of_a_list = client.realtime_servers().await.unwrap_err();
            let position = "1".parse().unwrap();
            let of_a_poll = client.listen(&servers[0], &position).await.unwrap_err();
            while server.emulator().queued_faults() > 0 {
                drop(client.realtime_servers().await);
            }
            for error in [of_a_page, of_a_list, of_a_poll] {
                assert_eq!(error.status().unwrap(), status);
                assert_hidden("an error", &said(&error));
                let code = (error.code(), error.request_id());
                assert_hidden("an error's code", &format!("{code:?}"));
            }
        }
    });
}

#[cfg(feature = "reqwest")]
#[test]
fn a_servers_text_is_escaped_and_cut_in_errors_and_in_the_log() {
    const MARK: &str = "a mark to find it by";
    log::keep();
    let server = fake_box(|_| ());
    let hostile = format!(
        r#"{{"type":"error","code":"{MARK}","message":"\u001b[2J\r\n\u009b31m\u202e{}"}}"#,
        "x".repeat(10_000)
    );
    // On a busy machine, a short wait may be over before the watcher sees its status.
    server.queue_fault(Endpoint::Events, response(500, hostile), 3);
    let shown = follow(Backend::Reqwest, Facade::Async, &server);
    let log = log::text();
    for (place, text) in [("the log", &log), ("the output", &shown)] {
        let line = text
            .lines()
            .find(|line| line.contains(MARK))
            .unwrap_or_else(|| panic!("the mark is not in {place}"));
        assert!(!line.contains(char::is_control), "{place}: {line:?}");
        assert!(line.contains(r"\u{1b}[2J\r\n\u{9b}31m\u{202e}"), "{line}");
        assert!(!line.contains(&"x".repeat(201)), "it is not cut in {place}");
    }
}
