//! Compression of responses, and the bytes that it saves.

use std::io::Read as _;

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault, PollPosition, Settings};
use flate2::read::GzDecoder;

use crate::client::{Client, realtime_url};

const PAGE: &str = "/2.0/events?limit=500";

/// Returns the text that was compressed into these bytes.
fn decompressed(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut text).expect("gzip");
    text
}

/// Returns the client of a server whose account has 500 realistic events.
fn client(server: &EmulatorServer) -> Client {
    server.append("token", 500);
    Client::new(server)
}

#[test]
fn a_page_is_compressed_to_a_sixth_on_request() {
    let server = EmulatorServer::start();
    let mut client = client(&server);
    let page = client.page();
    assert!(!page.head.contains("content-encoding"));
    assert!(page.says("vary: accept-encoding"));

    client.send_accepting("gzip, br", "GET", PAGE);
    let compressed = client.receive();
    assert!(compressed.says("content-encoding: gzip"));
    assert!(compressed.says("vary: accept-encoding"));
    assert_eq!(decompressed(&compressed.body), page.body);
    assert!(compressed.body.len() * 6 <= page.body.len());
}

#[test]
fn a_page_is_not_compressed_if_request_or_settings_forbid_it() {
    let server = EmulatorServer::start();
    let mut client = client(&server);
    let page = client.page();
    for (accepted, gzip) in [("identity", true), ("gzip;q=0", true), ("gzip", false)] {
        server.change_settings(|settings| settings.gzip = gzip);
        client.send_accepting(accepted, "GET", PAGE);
        let response = client.receive();
        assert!(!response.head.contains("content-encoding"), "{accepted}");
        assert_eq!(response.says("vary: accept-encoding"), gzip);
        assert_eq!(response.body, page.body);
    }
}

#[test]
fn polls_control_and_small_responses_are_not_compressed() {
    let server = EmulatorServer::start_with(Settings {
        poll_position: PollPosition::AlwaysNewChange,
        ..Settings::default()
    });
    let mut client = client(&server);
    for (method, target) in [
        ("OPTIONS", "/2.0/events"),
        ("GET", "/_emulator/settings"),
        ("GET", "/_emulator/"),
        ("GET", &realtime_url(&server)),
    ] {
        client.send_accepting("gzip", method, target);
        let response = client.receive();
        assert!(response.says("HTTP/1.1 200 OK"));
        assert!(!response.head.contains("encoding"), "{target}");
    }
}

#[test]
fn a_poll_is_not_compressed_even_if_it_is_large() {
    let server = EmulatorServer::start();
    let url = realtime_url(&server);
    let message = "new_change".repeat(200);
    server.queue_fault(Endpoint::Realtime, Fault::Signal { message }, 1);
    let mut client = Client::new(&server);
    client.send_accepting("gzip", "GET", &url);
    let response = client.receive();
    assert!(response.body.len() > 2000);
    assert!(!response.head.contains("encoding"));
}

#[test]
fn a_list_of_many_servers_is_compressed() {
    let server = EmulatorServer::start_with(Settings {
        realtime_servers: 100,
        ..Settings::default()
    });
    let mut client = Client::new(&server);
    client.send_accepting("gzip", "OPTIONS", "/2.0/events");
    let list: serde_json::Value =
        serde_json::from_slice(&decompressed(&client.receive().body)).expect("JSON");
    assert_eq!(list["chunk_size"], 100);
}

#[test]
fn faults_meet_the_compressed_body() {
    let server = EmulatorServer::start();
    let mut first = client(&server);
    first.send_accepting("gzip", "GET", PAGE);
    let complete = first.receive().body;
    server.queue_fault(Endpoint::Events, Fault::CloseInBody, 1);
    first.send_accepting("gzip", "GET", PAGE);
    let received = first.rest().0;
    assert!(received.ends_with(&complete[..complete.len() / 2]));

    for fault in ["huge_body", "compressed_body"] {
        server.queue_fault(Endpoint::Events, Fault::named(fault).expect("a fault"), 1);
        let mut client = Client::new(&server);
        client.send_accepting("gzip", "GET", PAGE);
        let response = client.receive();
        let codings = response.head.matches("content-encoding: gzip").count();
        assert_eq!(codings, usize::from(fault == "compressed_body"));
    }
}
