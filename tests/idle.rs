//! Proves that an idle stream uses little memory, no CPU time and one request.
//!
//! These tests have their own program, so that all measured CPU time belongs to them.

#![cfg(all(feature = "reqwest", target_os = "linux"))]

use std::sync::Arc;
use std::time::Duration;

use box_longpoll::config::RealtimeHosts;
use box_longpoll::transport::TransportRequest;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, EventStream, HttpTransport, LongPollClient, StartAt};
use box_longpoll_testkit::EmulatorServer;

/// The duration of the measurement.
const WATCHED: Duration = Duration::from_secs(5);

/// Returns the CPU time of this thread so far. The thread runs the stream, its runtime and nothing
/// else.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos = stat.split(' ').next().unwrap().parse().unwrap();
    Duration::from_nanos(nanos)
}

/// Returns the memory of a stream in bytes, without its connection, its window and the client's
/// settings. The stream consists of itself, its held request, and the two sleeps that run
/// meanwhile.
fn held<T: HttpTransport>(transport: &T) -> usize {
    let request = TransportRequest::new(http::Request::default(), WATCHED, 0);
    let request = size_of_val(&*transport.send(request));
    let time = size_of_val(&*transport.sleep(WATCHED));
    size_of::<EventStream<T>>() + request + 2 * time
}

#[test]
fn idle_stream_needs_less_than_5_kib_besides_its_connection() {
    let bytes = [
        held(&ReqwestTransport::new().unwrap()),
        #[cfg(feature = "surf")]
        held(&box_longpoll::transports::SurfTransport::new().unwrap()),
        #[cfg(feature = "isahc")]
        held(&box_longpoll::transports::IsahcTransport::new().unwrap()),
    ];
    assert!(bytes.iter().all(|bytes| *bytes < 5 << 10), "{bytes:?}");
    println!("{bytes:?}");
}

#[tokio::test]
async fn idle_stream_sends_no_request_and_uses_no_cpu() {
    let server = Arc::new(EmulatorServer::start());
    let client = LongPollClient::builder()
        .api_origin(server.origin())
        .realtime_hosts(RealtimeHosts::default().allow_loopback())
        .build(
            ReqwestTransport::new().unwrap(),
            AccessToken::new("token").unwrap(),
        )
        .unwrap();
    let mut events = client.events(StartAt::Now);
    let listening = tokio::task::spawn_blocking({
        let server = server.clone();
        move || server.wait_until(WATCHED, |emulator| emulator.counters().open_polls == 1)
    });
    tokio::select! {
        event = events.next() => panic!("{event:?}"),
        listening = listening => assert!(listening.unwrap()),
    }

    let (requests, cpu) = (server.counters().total.requests, cpu_time());
    assert!(tokio::time::timeout(WATCHED, events.next()).await.is_err());
    let used = cpu_time().saturating_sub(cpu);
    assert_eq!(server.counters().total.requests - requests, 0);
    assert_eq!(server.counters().open_polls, 1);
    assert!(used < WATCHED / 1_000, "{used:?} in {WATCHED:?}");
    println!("{used:?} of CPU in {WATCHED:?}");
}
