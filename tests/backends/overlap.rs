//! The requests that are on their way while the consumer handles a batch.
//!
//! Nobody polls the stream then, so these tests prove what the HTTP library does by itself. surf
//! does nothing before its future is polled again.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use box_longpoll::config::RealtimeHosts;
use box_longpoll::{LongPollClient, StartAt};
use box_longpoll_testkit::EmulatorServer;
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};
use crate::follower::{Facade, Follower, client};
use crate::session::ids;

/// The number of events in a page, and so in a batch.
const PAGE: usize = 2;

/// The time for which a stream is driven between two checks of a condition.
const A_MOMENT: Duration = Duration::from_millis(5);

/// Starts a fake Box that is 10 ms away, so that a request takes time.
fn distant_box() -> Arc<EmulatorServer> {
    fake_box(|settings| settings.latency_ms = 10)
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn next_page_is_requested_while_a_batch_is_handled(
    #[case] backend: Backend,
    #[values(Facade::Async, Facade::Blocking)] facade: Facade,
) {
    let server = distant_box();
    server.append(TOKEN, 10 * PAGE);
    let follow = client(backend, facade, builder(&server).page_limit(2));
    let mut stream = follow(StartAt::Oldest);
    let mut received = Vec::new();
    for batch in 1..=10 {
        received.extend(next_ids(&mut *stream));
        let requested = server.wait_until(PATIENCE, |emulator| {
            emulator.counters().events.requests > batch
        });
        assert!(requested, "page {} is not requested", batch + 1);
    }
    assert_eq!(received, server.event_ids(TOKEN));
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn poll_is_held_while_the_last_batch_is_handled(
    #[case] backend: Backend,
    #[values(Facade::Async, Facade::Blocking)] facade: Facade,
) {
    let server = distant_box();
    // The realtime server is another host for the HTTP library, as at Box. It closes each
    // connection after a poll, so the next poll needs a new one.
    let realtime = server.origin().replace("127.0.0.1", "localhost");
    server.change_settings(|settings| settings.realtime_origins = vec![realtime]);
    let follow = client(backend, facade, builder(&server));
    let mut stream = follow(StartAt::Now);
    // After the first batch, two more polls find out that the server honors positions.
    for _ in 0..2 {
        drive_until_listening(&server, &mut *stream);
        let polls = server.counters().realtime.requests;
        server.append(TOKEN, 1);
        next_ids(&mut *stream);
        let polled = server.wait_until(PATIENCE, |emulator| {
            emulator.counters().realtime.requests > polls
        });
        assert!(polled, "no poll opens");
    }
    assert_eq!(server.counters().open_polls, 1);
    // An event during the poll does not wait for another one.
    let polls = server.counters().realtime.requests;
    server.append(TOKEN, 1);
    assert_eq!(next_ids(&mut *stream), server.event_ids(TOKEN)[2..]);
    assert!(server.counters().realtime.requests <= polls + 1);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn page_that_was_read_ahead_is_fetched_again_after_a_kill(
    #[case] backend: Backend,
    #[values(Facade::Async, Facade::Blocking)] facade: Facade,
) {
    let server = distant_box();
    server.append(TOKEN, 3 * PAGE);
    let follow = client(backend, facade, builder(&server).page_limit(2));
    let mut stream = follow(StartAt::Oldest);
    let mut handled = next_ids(&mut *stream);
    wait_for_pages(&server, 2);
    let unhandled = next_ids(&mut *stream);
    wait_for_pages(&server, 3);
    let durable = stream.resume_at();
    drop(stream);

    let mut stream = follow(durable);
    let repeated = next_ids(&mut *stream);
    assert_eq!(repeated, unhandled);
    handled.extend(repeated);
    handled.extend(next_ids(&mut *stream));
    assert_eq!(handled, server.event_ids(TOKEN));
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn max_staleness_delivers_events_that_nobody_signals(
    #[case] backend: Backend,
    #[values(Facade::Async, Facade::Blocking)] facade: Facade,
) {
    let server = fake_box(|settings| {
        settings.drop_signals = true;
        settings.latency_ms = 10;
    });
    let settings = builder(&server).max_staleness(Duration::from_secs(1));
    let follow = client(backend, facade, settings);
    let mut stream = follow(StartAt::Now);
    drive_until_listening(&server, &mut *stream);
    for _ in 0..2 {
        server.append(TOKEN, 1);
        assert_eq!(next_ids(&mut *stream).len(), 1);
        // The fetch did not disturb the poll.
        let counters = server.counters();
        assert_eq!((counters.realtime.requests, counters.open_polls), (1, 1));
    }
}

/// isahc is left out: it keeps the connection of a dropped request open.
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
fn dropping_a_stream_ends_both_its_requests(
    #[case] backend: Backend,
    #[values(Facade::Async, Facade::Blocking)] facade: Facade,
) {
    let server = SilentBox::start();
    let builder = LongPollClient::builder()
        .api_origin(server.origin())
        .realtime_hosts(RealtimeHosts::default().allow_loopback());
    let follow = client(backend, facade, builder);
    let mut stream = follow("100".parse().unwrap());
    assert_eq!(next_ids(&mut *stream), ["a"]);
    let mut arrived = Vec::new();
    while arrived.len() < 2 {
        assert!(stream.next_within(A_MOMENT).is_none());
        arrived.extend(server.arrived.try_iter());
    }
    arrived.sort_unstable();
    assert_eq!(arrived, ["a fetch", "a poll"]);

    drop(stream);
    let mut ended = [(); 2].map(|()| server.ended.recv_timeout(PATIENCE).unwrap());
    ended.sort_unstable();
    assert_eq!(ended, ["a fetch", "a poll"]);
}

/// A server that sends one event, and then holds a fetch and a poll until they are given up.
struct SilentBox {
    address: SocketAddr,
    /// The held requests that have arrived.
    arrived: Receiver<&'static str>,
    /// The held requests whose connections the client has closed.
    ended: Receiver<&'static str>,
}

impl SilentBox {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (arrival, arrived) = channel();
        let (end, ended) = channel();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = connection.unwrap();
                let (arrival, end) = (arrival.clone(), end.clone());
                thread::spawn(move || serve(connection, address, &arrival, &end));
            }
        });
        Self {
            address,
            arrived,
            ended,
        }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Serves one request after another on a connection. The first page has an event and ends before
/// position 200.
fn serve(
    mut connection: TcpStream,
    address: SocketAddr,
    arrival: &Sender<&'static str>,
    end: &Sender<&'static str>,
) {
    loop {
        let head = read_head(&mut connection);
        let arrived = if head.starts_with("OPTIONS") {
            let url = format!("http://{address}/subscribe?channel=c");
            let list = format!(r#"{{"entries":[{{"url":"{url}","retry_timeout":610}}]}}"#);
            respond(&mut connection, &list);
            continue;
        } else if head.contains("stream_position=100") && head.contains("/2.0/events") {
            let page = r#"{"entries":[{"event_id":"a"}],"next_stream_position":"200"}"#;
            respond(&mut connection, page);
            continue;
        } else if head.contains("/2.0/events") {
            "a fetch"
        } else if head.contains("/subscribe") {
            "a poll"
        } else {
            // The client has closed an idle connection.
            return;
        };
        // The test has ended if nobody receives these.
        let _ = arrival.send(arrived);
        let _ = connection.read(&mut [0]);
        let _ = end.send(arrived);
        return;
    }
}

/// Reads the head of a request, or as much as comes before the end of the connection.
fn read_head(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn respond(connection: &mut TcpStream, body: &str) {
    let length = body.len();
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
    connection.write_all(response.as_bytes()).unwrap();
}

/// Waits until the server has sent this many pages.
#[track_caller]
fn wait_for_pages(server: &EmulatorServer, pages: usize) {
    let sent = server.wait_until(PATIENCE, |emulator| {
        emulator.counters().events_served == (pages * PAGE) as u64
    });
    assert!(sent, "page {pages} is not requested");
}

#[track_caller]
fn next_ids(stream: &mut dyn Follower) -> Vec<String> {
    let next = stream
        .next_within(PATIENCE)
        .expect("a batch arrives in time");
    ids(&next.unwrap())
}

#[track_caller]
fn drive_until_listening(server: &EmulatorServer, stream: &mut dyn Follower) {
    while server.counters().open_polls == 0 {
        let next = stream.next_within(A_MOMENT);
        assert!(next.is_none(), "{next:?}");
    }
}
