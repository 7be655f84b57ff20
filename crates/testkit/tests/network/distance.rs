//! Latency, bandwidth, and the times after which the server ends a connection.

use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{panic, thread};

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault, PollPosition, Settings};
use serde_json::json;

use crate::client::{Client, TIMEOUT, held_poll, realtime_url, takes_at_least};

const LATENCY: Duration = Duration::from_millis(40);
const LATENCY_MS: u64 = 40;

/// A delay that no test waits for.
const HOUR_MS: u64 = 3_600_000;

fn with_latency() -> EmulatorServer {
    EmulatorServer::start_with(Settings {
        latency_ms: LATENCY_MS,
        ..Settings::default()
    })
}

#[test]
fn a_request_takes_two_latencies_or_four_with_its_connection() {
    let server = with_latency();
    let mut client = takes_at_least(4 * LATENCY, || {
        let mut client = Client::new(&server);
        client.page();
        client
    });
    for _ in 0..3 {
        takes_at_least(2 * LATENCY, || client.page());
    }
}

#[test]
fn a_new_connection_takes_as_long_as_set() {
    let server = EmulatorServer::start_with(Settings {
        latency_ms: 10,
        connect_ms: Some(100),
        ..Settings::default()
    });
    takes_at_least(Duration::from_millis(120), || Client::new(&server).page());
    server.change_settings(|settings| settings.latency_ms = 0);
    takes_at_least(Duration::from_millis(100), || Client::new(&server).page());
}

#[test]
fn a_connection_in_use_follows_a_change_of_the_latency() {
    let server = EmulatorServer::start();
    let mut client = Client::new(&server);
    client.page();
    server.change_settings(|settings| settings.latency_ms = LATENCY_MS);
    takes_at_least(2 * LATENCY, || client.page());
    server.change_settings(|settings| settings.latency_ms = 2 * LATENCY_MS);
    takes_at_least(4 * LATENCY, || client.page());
    server.change_settings(|settings| settings.latency_ms = 0);
    assert!(client.page().says("HTTP/1.1 200 OK"));
}

#[test]
fn a_signal_arrives_a_latency_after_its_event() {
    let server = with_latency();
    let mut poll = held_poll(&server);
    let (received, error) = takes_at_least(LATENCY, || {
        server.append("token", 1);
        poll.rest()
    });
    assert!(received.ends_with(br#"{"message":"new_change"}"#));
    assert_eq!(error, None);
}

#[test]
fn a_poll_held_from_before_gets_its_signal_late_too() {
    let server = EmulatorServer::start();
    let mut poll = held_poll(&server);
    server.change_settings(|settings| settings.latency_ms = LATENCY_MS);
    let (received, _) = takes_at_least(LATENCY, || {
        server.append("token", 1);
        poll.rest()
    });
    assert!(received.ends_with(br#"{"message":"new_change"}"#));
}

#[test]
fn the_server_sees_an_end_of_a_client_a_latency_later() {
    let server = with_latency();
    let poll = held_poll(&server);
    takes_at_least(LATENCY, || {
        drop(poll);
        assert!(server.wait_until(TIMEOUT, |emulator| emulator.counters().open_polls == 0));
    });
}

#[test]
fn a_bandwidth_spreads_a_response_over_time() {
    let server = EmulatorServer::start();
    server.append("token", 100);
    let mut client = Client::new(&server);
    let bytes = client.page().body.len();
    let rate = bytes as u64 * 4;
    server.change_settings(|settings| settings.bytes_per_second = Some(rate));
    let quarter = Duration::from_millis(250);
    let page = takes_at_least(quarter, || client.page());
    assert_eq!(page.json()["chunk_size"], 100);
    takes_at_least(quarter, || Client::new(&server).page());
}

#[test]
fn an_endless_response_goes_no_further_than_its_client_reads() {
    let server = with_latency();
    server.queue_fault(Endpoint::Events, Fault::EndlessBody, 1);
    let mut client = Client::new(&server);
    client.send("GET", "/2.0/events", "");
    let mut much = vec![0; 4 << 20];
    client
        .0
        .read_exact(&mut much)
        .expect("there is always more");
}

#[test]
fn faults_break_a_response_over_a_distance_as_without() {
    let server = EmulatorServer::start();
    server.append("token", 3);
    let meet = |fault| {
        server.queue_fault(Endpoint::Events, fault, 1);
        let mut client = Client::new(&server);
        client.send("GET", "/2.0/events", "");
        let (mut received, error) = client.rest();
        let date = received.windows(8).position(|part| part == b"\r\ndate: ");
        date.map(|date| {
            received.drain(date..date + "\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT".len())
        });
        (received, error)
    };
    for fault in [
        Fault::CloseBeforeHeaders,
        Fault::Reset,
        Fault::CloseInBody,
        Fault::ResetInBody,
        Fault::CloseInChunk,
    ] {
        server.change_settings(|settings| settings.latency_ms = 0);
        let near = meet(fault.clone());
        server.change_settings(|settings| settings.latency_ms = LATENCY_MS);
        let far = takes_at_least(4 * LATENCY, || meet(fault.clone()));
        assert_eq!(near, far, "{}", fault.name());
    }
}

#[test]
fn a_server_that_is_dropped_closes_distant_connections() {
    let server = with_latency();
    let mut poll = held_poll(&server);
    drop(server);
    assert_eq!(poll.rest().0, b"");
}

#[test]
fn a_line_ends_without_a_panic() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() == Some("box-emulator") {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        report(info);
    }));
    let server = with_latency();
    let mut poll = held_poll(&server);
    server.append("token", 1);
    poll.rest();
    drop(server);
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}

#[test]
fn server_time_delays_api_calls_alone() {
    let server = EmulatorServer::start();
    let url = realtime_url(&server);
    server.change_settings(|settings| {
        settings.server_time_ms = 100;
        settings.poll_position = PollPosition::AlwaysNewChange;
    });
    takes_at_least(Duration::from_millis(100), || Client::new(&server).page());
    // From now on, a test that has to wait hangs.
    server.change_settings(|settings| settings.server_time_ms = HOUR_MS);
    let mut poll = Client::new(&server);
    poll.send("GET", &url, "");
    assert!(poll.rest().0.ends_with(br#"{"message":"new_change"}"#));
    let mut control = Client::new(&server);
    control.send("GET", "/_emulator/counters", "");
    assert_eq!(control.receive().json()["realtime"]["requests"], 1);
}

#[test]
fn control_requests_have_no_distance() {
    let server = EmulatorServer::start_with(Settings {
        latency_ms: HOUR_MS,
        bytes_per_second: Some(1),
        ..Settings::default()
    });
    let mut control = Client::new(&server);
    control.send("PATCH", "/_emulator/settings", r#"{"ttl":7}"#);
    let response = control.receive();
    assert_eq!(response.json()["ttl"], 7);
    assert!(response.says("connection: close"));
    assert_eq!(control.rest(), (Vec::new(), None));
}

#[test]
fn a_control_connection_is_kept_while_there_is_no_distance() {
    let server = EmulatorServer::start();
    let mut client = Client::new(&server);
    client.send("GET", "/_emulator/settings", "");
    assert_eq!(client.receive().json()["latency_ms"], 0);
    client.page();
    client.send("PATCH", "/_emulator/settings", r#"{"latency_ms":1}"#);
    assert!(client.receive().says("connection: close"));
}

#[test]
fn a_connection_is_closed_after_it_was_idle() {
    let server = EmulatorServer::start();
    let mut client = Client::new(&server);
    client.page();
    let mut poll = held_poll(&server);
    server.change_settings(|settings| {
        settings.idle_close_ms = Some(100);
        // A call takes longer than a connection may be idle.
        settings.server_time_ms = 200;
    });
    let idle = Duration::from_millis(100);
    takes_at_least(idle, || {
        assert_eq!(Client::new(&server).rest(), (Vec::new(), None));
    });
    takes_at_least(3 * idle, || {
        client.page();
        assert_eq!(client.rest(), (Vec::new(), None));
    });
    server.append("token", 1);
    assert!(poll.rest().0.ends_with(br#"{"message":"new_change"}"#));
}

#[test]
fn a_first_request_may_travel_longer_than_the_idle_limit() {
    let server = EmulatorServer::start_with(Settings {
        idle_close_ms: Some(1000),
        connect_ms: Some(1200),
        ..Settings::default()
    });
    assert!(Client::new(&server).page().says("HTTP/1.1 200 OK"));
}

#[test]
fn a_poll_is_cut_without_a_response() {
    let server = EmulatorServer::start_with(Settings {
        cut_polls_after_ms: Some(100),
        ..Settings::default()
    });
    let url = realtime_url(&server);
    let mut poll = Client::new(&server);
    let cut = takes_at_least(Duration::from_millis(100), || {
        poll.send("GET", &url, "");
        poll.rest()
    });
    assert_eq!(cut, (Vec::new(), None));
    server.change_settings(|settings| settings.cut_polls_after_ms = None);
    let mut poll = held_poll(&server);
    server.append("token", 1);
    assert!(poll.rest().0.ends_with(br#"{"message":"new_change"}"#));
}

#[test]
fn each_setting_of_the_distance_can_be_changed_over_http() {
    let server = EmulatorServer::start();
    let change = json!({
        "latency_ms": 1, "connect_ms": 2, "server_time_ms": 3, "bytes_per_second": 1_000_000, "gzip": false,
        "idle_close_ms": 60_000, "cut_polls_after_ms": 6,
    });
    let mut client = Client::new(&server);
    client.send("PATCH", "/_emulator/settings", &change.to_string());
    let settings = client.receive().json();
    for (name, value) in change.as_object().expect("an object") {
        assert_eq!(settings[name], *value, "{name}");
    }
}
