//! The protection of the emulator, over real connections: access to the control API, hashes of
//! tokens, and the limits of requests.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use box_longpoll_testkit::{Application, Config, EmulatorServer, Endpoint, Fault, Settings};
use rstest::rstest;
use serde_json::{Value, json};

/// The time limit of a wait. Only a test that hangs reaches it, because nothing here waits for a
/// time to pass.
const TIMEOUT: Duration = Duration::from_secs(60);

const JSON: &str = "content-type: application/json\r\n";

const TOKEN: &str = "tell-nobody";
/// The first digits of `printf tell-nobody | sha256sum`.
const TOKEN_HASH: &str = "sha256:dad19c8bbd191937";

fn connect(server: &EmulatorServer) -> TcpStream {
    let stream = TcpStream::connect(authority(server)).expect("a connection");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    stream
}

fn authority(server: &EmulatorServer) -> &str {
    server.origin().strip_prefix("http://").expect("an origin")
}

/// A response, as text.
struct Response {
    head: String,
    body: String,
}

impl Response {
    fn status(&self) -> u16 {
        self.head[9..12].parse().expect("a status")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// Sends these bytes on a connection of their own, and returns the response.
fn exchange(server: &EmulatorServer, request: impl AsRef<[u8]>) -> Response {
    let mut stream = connect(server);
    // The write fails if the server refuses the request without reading all of it.
    let _ = stream.write_all(request.as_ref());
    let _ = stream.shutdown(Shutdown::Write);
    let mut received = Vec::new();
    // If the server resets the connection after its response, the response still counts.
    let _ = stream.read_to_end(&mut received);
    let received = String::from_utf8(received).expect("text");
    let (head, body) = received.split_once("\r\n\r\n").expect("a response");
    Response {
        head: head.into(),
        body: body.into(),
    }
}

/// Sends a request to the control API with these headers.
fn control(
    server: &EmulatorServer,
    method: &str,
    resource: &str,
    headers: &str,
    body: &str,
) -> Response {
    let length = body.len();
    let line = format!("{method} /_emulator/{resource} HTTP/1.1\r\n");
    exchange(
        server,
        format!("{line}{headers}content-length: {length}\r\n\r\n{body}"),
    )
}

/// Sends a request to the control API with the headers of a regular client.
fn send(server: &EmulatorServer, method: &str, resource: &str, body: &Value) -> Response {
    let headers = format!("host: {}\r\n{JSON}", authority(server));
    control(server, method, resource, &headers, &body.to_string())
}

#[rstest]
#[case::another_page("127.0.0.1", "https://page.example")]
#[case::another_port("127.0.0.1", "http://127.0.0.1:1")]
#[case::no_origin_of_its_own("127.0.0.1", "null")]
#[case::a_name_that_resolves_here("rebound.example", "http://rebound.example")]
#[case::a_name_without_an_origin("rebound.example", "")]
#[case::no_host("", "")]
fn control_requests_of_web_pages_are_refused(#[case] host: &str, #[case] origin: &str) {
    let server = EmulatorServer::start();
    server.append("account", 1);
    server.queue_fault(Endpoint::Events, Fault::Html, 3);
    let mut headers = JSON.to_owned();
    if !host.is_empty() {
        headers += &format!("host: {host}\r\n");
    }
    if !origin.is_empty() {
        headers += &format!("origin: {origin}\r\n");
    }
    for (method, resource, body) in [
        ("GET", "", ""),
        ("GET", "accounts", ""),
        ("GET", "requests", ""),
        ("OPTIONS", "events", ""),
        ("POST", "events", r#"{"account":"account","count":1}"#),
        ("PATCH", "settings", r#"{"no_date":true}"#),
        ("DELETE", "faults", ""),
        ("GET", "nothing", ""),
    ] {
        let refused = control(&server, method, resource, &headers, body);
        assert_eq!(refused.status(), 403, "{method} {resource}");
        assert!(!refused.body.contains("account"), "{}", refused.body);
    }
    let emulator = server.emulator();
    assert_eq!(emulator.event_ids("account").len(), 1);
    assert_eq!(emulator.settings(), &Settings::default());
    assert_eq!(emulator.queued_faults(), 3);
}

#[test]
fn a_page_of_the_emulators_own_origin_is_admitted() {
    let server = EmulatorServer::start();
    let port = authority(&server).split_once(':').expect("a port").1;
    for host in [
        authority(&server).to_owned(),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
    ] {
        let headers = format!("host: {host}\r\norigin: http://{host}\r\n");
        let index = control(&server, "GET", "", &headers, "");
        assert_eq!(index.status(), 200, "{host}");
    }
}

#[rstest]
#[case::none("")]
#[case::a_form("content-type: application/x-www-form-urlencoded\r\n")]
#[case::text("content-type: text/plain\r\n")]
#[case::text_of_json("content-type: text/plain; application/json\r\n")]
fn a_control_body_not_declared_as_json_is_refused(#[case] content_type: &str) {
    let server = EmulatorServer::start();
    let headers = format!("host: {}\r\n{content_type}", authority(&server));
    for (method, resource) in [
        ("POST", "events"),
        ("POST", "past_events"),
        ("PATCH", "settings"),
        ("POST", "faults"),
        ("POST", "interruptions"),
        ("POST", "applications"),
        ("POST", "refresh_tokens"),
        ("POST", "authorization_codes"),
    ] {
        let body = r#"{"account":"account","count":1}"#;
        let refused = control(&server, method, resource, &headers, body);
        assert_eq!(refused.status(), 415, "{method} {resource}");
    }
    assert!(server.emulator().accounts().is_empty());
}

#[rstest]
#[case("POST", "events", json!({"account": "a", "count": 1_000_000_000_000_u64}), "events")]
#[case("POST", "events", json!({"account": "a", "count": 1e12}), "1000000000000.0")]
#[case("POST", "events", json!({"account": "a", "count": u64::MAX}), "events")]
#[case("POST", "events", json!({"account": "a", "events": vec![0; 1_000_001]}), "events")]
#[case("POST", "events", json!({"count": 1_000_000}), "events")]
#[case("POST", "past_events", json!({"account": "a", "count": 1_000_001}), "events")]
#[case("POST", "past_events", json!({"account": "a", "count": 1, "until_unix": i64::MAX}), "until_unix")]
#[case("POST", "past_events", json!({"account": "a", "count": 1, "from_unix": 8, "until_unix": 7}), "from_unix")]
#[case("POST", "past_events", json!({"account": "a", "count": 1, "from_unix": i64::MIN}), "from_unix")]
#[case("POST", "faults", json!({"endpoint": "events", "fault": "huge_body", "bytes": 1_000_000_000_000_u64}), "bytes")]
#[case("POST", "faults", json!({"endpoint": "events", "fault": "compressed_body", "bytes": u64::MAX}), "bytes")]
#[case("POST", "faults", json!({"endpoint": "events", "fault": "drip", "interval_ms": u64::MAX}), "interval_ms")]
#[case("POST", "faults", json!({"endpoint": "events", "fault": "status", "status": 65_535}), "status")]
#[case("POST", "faults", json!({"endpoint": "events", "fault": "reset", "times": u32::MAX}), "times")]
#[case("POST", "interruptions", json!({"fault": "huge_body", "bytes": u64::MAX}), "bytes")]
#[case("PATCH", "settings", json!({"hold_ms": u64::MAX}), "hold_ms")]
#[case("PATCH", "settings", json!({"visible_after_ms": u64::MAX}), "visible_after_ms")]
#[case("PATCH", "settings", json!({"token_lifetime_ms": u64::MAX}), "token_lifetime_ms")]
#[case("PATCH", "settings", json!({"clock_skew_seconds": i64::MIN}), "clock_skew_seconds")]
#[case("PATCH", "settings", json!({"realtime_servers": 1_000_000_000_000_u64}), "realtime_servers")]
#[case("PATCH", "settings", json!({"rate": 1e300}), "rate")]
fn a_number_above_its_limit_is_refused_by_name(
    #[case] method: &str,
    #[case] resource: &str,
    #[case] body: Value,
    #[case] named: &str,
) {
    let server = EmulatorServer::start();
    for account in ["one", "two"] {
        server.append(account, 1);
    }
    let refused = send(&server, method, resource, &body);
    assert_eq!(refused.status(), 400);
    let reason = refused.json()["error"].to_string();
    assert!(reason.contains(named), "{reason}");
    assert_eq!(
        send(&server, "GET", "faults", &Value::Null).json(),
        json!([])
    );
    assert_eq!(server.emulator().settings(), &Settings::default());
}

#[test]
fn full_logs_accept_no_more_events() {
    let server = EmulatorServer::start();
    // The log counts as 4 GiB, but its events share one text in memory.
    let large: Arc<str> = "x".repeat(16 << 20).into();
    server.append_json("account", std::iter::repeat_n(large, 256));
    for (resource, body) in [
        ("events", json!({"account": "another", "count": 1})),
        ("events", json!({"account": "another", "events": [null]})),
        ("past_events", json!({"account": "another", "count": 1})),
    ] {
        let refused = send(&server, "POST", resource, &body);
        assert_eq!(refused.status(), 400);
        let reason = refused.json()["error"].to_string();
        assert!(reason.contains("bytes in all logs"), "{reason}");
    }
    let retention = json!({"retention": 255});
    assert_eq!(send(&server, "PATCH", "settings", &retention).status(), 200);
    let one = json!({"account": "another", "count": 1});
    assert_eq!(send(&server, "POST", "events", &one).status(), 200);
}

#[test]
fn faults_and_applications_are_limited_in_number() {
    let server = EmulatorServer::start();
    let fault = json!({"endpoint": "events", "fault": "reset", "times": 1_000_000});
    for _ in 0..1_000 {
        server.queue_fault(Endpoint::Events, Fault::Reset, 1_000_000);
    }
    assert_eq!(send(&server, "POST", "faults", &fault).status(), 400);
    assert_eq!(server.emulator().queued_faults(), 1_000_000_000);

    let application =
        |id: &str| json!({"client_id": id, "client_secret": "hush", "enterprise_id": "42"});
    for id in 0..1_000 {
        server.register(Application::new(&id.to_string(), "hush", "42"));
    }
    let replaced = send(&server, "POST", "applications", &application("999"));
    assert_eq!(replaced.status(), 200);
    let refused = send(&server, "POST", "applications", &application("1000"));
    assert_eq!(refused.status(), 400);
}

#[rstest]
#[case::the_greatest_number("18446744073709551615", 413)]
#[case::more_than_any_number("99999999999999999999", 400)]
#[case::less_than_nothing("-1", 400)]
#[case::signed("+1", 400)]
#[case::a_fraction("1e3", 400)]
#[case::empty("", 400)]
fn an_invalid_content_length_is_refused(#[case] length: &str, #[case] status: u16) {
    let server = EmulatorServer::start();
    for target in ["/_emulator/events", "/oauth2/token", "/2.0/events"] {
        let head = format!("POST {target} HTTP/1.1\r\nhost: localhost\r\n{JSON}");
        let refused = exchange(&server, format!("{head}content-length: {length}\r\n\r\n"));
        assert_eq!(refused.status(), status, "{target}");
        assert!(refused.head.contains("connection: close"));
    }
    assert_eq!(send(&server, "GET", "", &Value::Null).status(), 200);
}

#[rstest]
#[case::a_form("/oauth2/token", 64 << 10)]
#[case::a_call("/2.0/events", 64 << 10)]
#[case::a_setting("/_emulator/settings", 1 << 20)]
#[case::events("/_emulator/events", 16 << 20)]
fn a_body_above_its_limit_is_refused_before_it_is_read(#[case] target: &str, #[case] most: usize) {
    let server = EmulatorServer::start();
    let head = format!("POST {target} HTTP/1.1\r\nhost: localhost\r\n{JSON}");
    let send_body = |length: usize| {
        let body = "x".repeat(length);
        exchange(
            &server,
            format!("{head}content-length: {length}\r\n\r\n{body}"),
        )
    };
    assert_ne!(send_body(most).status(), 413);
    // The client sends the complete body all the same, and then reads the refusal.
    assert_eq!(send_body(most + 1).status(), 413);
    let announced = format!("{head}content-length: {}\r\n\r\n", most + 1);
    let refused = exchange(&server, announced);
    assert_eq!(refused.status(), 413);
    assert!(refused.body.contains(&most.to_string()), "{}", refused.body);
}

#[rstest]
#[case::a_line(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(64 << 10)))]
#[case::a_header(format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(64 << 10)))]
#[case::no_end(format!("GET / HTTP/1.1\r\na: {}", "x".repeat(1 << 20)))]
#[case::many_headers(format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65)))]
fn a_head_above_its_limit_is_refused(#[case] request: String) {
    let server = EmulatorServer::start();
    assert_eq!(exchange(&server, request).status(), 431);
}

#[test]
fn a_client_that_floods_a_held_request_is_disconnected() {
    let server = EmulatorServer::start();
    server.queue_fault(Endpoint::Events, Fault::Silence, 1);
    let mut stream = connect(&server);
    let head = "GET /2.0/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer token\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("a request");
    let flood = vec![b'x'; 1 << 20];
    // If the emulator stored the bytes, no write would fail.
    let disconnected = (0..1_000).any(|_| stream.write_all(&flood).is_err());
    assert!(disconnected, "the emulator read a gigabyte");
}

#[test]
fn the_request_log_keeps_a_kilobyte_of_each_text() {
    let server = EmulatorServer::start();
    let long = "x".repeat(10_000);
    exchange(
        &server,
        format!(
            "GET /{long}?limit={long} HTTP/1.1\r\nhost: localhost\r\nuser-agent: {long}\r\n\r\n"
        ),
    );
    let record = server.requests().remove(0);
    assert_eq!(record.path.len(), 1_024);
    for text in [record.limit, record.user_agent] {
        assert_eq!(text.expect("a text").len(), 1_024);
    }
}

#[test]
fn a_connection_above_the_limit_gets_a_503() {
    let server = EmulatorServer::start_with(Config {
        max_connections: 2,
        ..Config::default()
    });
    let open = |mut stream: &TcpStream| {
        let request = b"GET /_emulator/ HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let written = stream.write_all(request);
        let mut status = [0; 12];
        match written.and_then(|()| stream.read_exact(&mut status)) {
            Ok(()) => String::from_utf8_lossy(&status[9..]).into_owned(),
            Err(error) => panic!("{error}"),
        }
    };
    let [first, second] = [connect(&server), connect(&server)];
    assert_eq!([open(&first), open(&second)], ["200", "200"]);
    let mut third = connect(&server);
    let mut refusal = Vec::new();
    third.read_to_end(&mut refusal).expect("a response");
    let refusal = String::from_utf8(refusal).expect("text");
    assert!(refusal.starts_with("HTTP/1.1 503"), "{refusal}");
    assert!(refusal.contains("2 connections"), "{refusal}");

    drop(first);
    // The emulator notices the closed connection a moment later.
    let admitted = std::iter::repeat_with(|| connect(&server)).find(|mut stream| {
        let request = b"GET /_emulator/ HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let mut status = [0; 12];
        let exchanged = stream
            .write_all(request)
            .and_then(|()| stream.read_exact(&mut status));
        exchanged.is_ok() && status.ends_with(b"200")
    });
    assert!(admitted.is_some());
}

#[rstest]
#[case::the_index("/_emulator/", "host: localhost\r\n")]
#[case::a_page("/_emulator/", "host: localhost\r\norigin: https://page.example\r\n")]
#[case::no_control("/2.0/events", "host: localhost\r\n")]
#[case::nothing("/nothing", "host: localhost\r\n")]
fn a_head_request_gets_no_body(#[case] target: &str, #[case] headers: &str) {
    let server = EmulatorServer::start();
    let head = exchange(&server, format!("HEAD {target} HTTP/1.1\r\n{headers}\r\n"));
    assert_eq!(head.body, "");
    let length = head
        .head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    assert_ne!(length, Some("0"));
}

#[test]
fn a_request_after_a_head_request_is_understood() {
    let server = EmulatorServer::start();
    let head = "HEAD /2.0/events HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let get = "GET /_emulator/accounts HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let both = exchange(&server, format!("{head}{get}"));
    let next = both.body.split_once("\r\n\r\n").expect("a second response");
    assert!(next.0.starts_with("HTTP/1.1 200"), "{}", next.0);
    assert_eq!(next.1, "[]");
}

#[test]
fn tokens_are_shown_as_hashes() {
    let server = EmulatorServer::start_with(Settings {
        token_accounts: [("another-secret".into(), "named".into())].into(),
        ..Settings::default()
    });
    server.append(TOKEN, 1);
    server.append("never-used", 1);
    for headers in [
        format!("authorization: Bearer {TOKEN}\r\n"),
        format!("authorization: Bearer {TOKEN}\r\nas-user: 17\r\n"),
        "authorization: Bearer another-secret\r\n".into(),
    ] {
        let line = "GET /2.0/events HTTP/1.1\r\nhost: localhost\r\n";
        let page = exchange(&server, format!("{line}{headers}\r\n"));
        assert_eq!(page.status(), 200);
    }
    server.revoke("one-more-secret");

    let read = |resource: &str| send(&server, "GET", resource, &Value::Null);
    let own = format!("events?account={TOKEN}");
    for resource in [
        "accounts", "callers", "requests", "settings", "faults", &own,
    ] {
        let shown = read(resource).body;
        for secret in [TOKEN, "never-used", "another-secret", "one-more-secret"] {
            assert!(!shown.contains(secret), "{resource}: {shown}");
        }
    }
    let append = send(&server, "POST", "events", &json!({"count": 1})).json();
    for accounts in [
        append["accounts"].clone(),
        read("accounts")
            .json()
            .as_array()
            .expect("accounts")
            .iter()
            .map(|account| account["account"].clone())
            .collect(),
    ] {
        for name in ["17", "named", TOKEN_HASH] {
            assert!(accounts.as_array().expect("names").contains(&name.into()));
        }
    }
    let callers = read("callers").json();
    assert_eq!(callers[TOKEN_HASH]["requests"], 1);
    assert_eq!(callers[format!("{TOKEN_HASH} as 17")]["requests"], 1);
    assert_eq!(read("requests").json()[0]["account"], TOKEN_HASH);
    assert_eq!(read("requests").json()[1]["account"], "17");
}

#[test]
fn an_account_of_an_issued_token_is_shown_by_name() {
    let server = EmulatorServer::start();
    server.register(Application::new("app", "hush", "42"));
    let form = "client_id=app&client_secret=hush&grant_type=client_credentials";
    let length = form.len();
    let line = "POST /oauth2/token HTTP/1.1\r\nhost: localhost\r\n";
    let issued = exchange(
        &server,
        format!("{line}content-length: {length}\r\n\r\n{form}"),
    );
    let token = issued.json()["access_token"].clone();
    let token = token.as_str().expect("a token");
    let line = "GET /2.0/events HTTP/1.1\r\nhost: localhost\r\n";
    exchange(
        &server,
        format!("{line}authorization: Bearer {token}\r\n\r\n"),
    );
    let callers = send(&server, "GET", "callers", &Value::Null).json();
    assert_eq!(callers["enterprise 42 by app"]["requests"], 1);
    let requests = send(&server, "GET", "requests", &Value::Null).json();
    assert_eq!(requests[0]["account"], "enterprise 42");
}

#[test]
fn the_greatest_possible_settings_work() {
    let server = EmulatorServer::start();
    let century_ms = 100_u64 * 366 * 24 * 3_600_000;
    let greatest = json!({
        "hold_ms": century_ms,
        "visible_after_ms": century_ms,
        "token_lifetime_ms": century_ms,
        "refresh_token_lifetime_ms": century_ms,
        "clock_skew_seconds": century_ms / 1_000,
        "realtime_servers": 1_000,
        "polls_per_url": u64::MAX,
        "calls_per_minute": u64::MAX,
        "retention": u64::MAX,
    });
    assert_eq!(send(&server, "PATCH", "settings", &greatest).status(), 200);
    let one = json!({"account": "token", "count": 1});
    assert_eq!(send(&server, "POST", "events", &one).status(), 200);
    let bearer = "host: localhost\r\nauthorization: Bearer token\r\n";
    let list = exchange(
        &server,
        format!("OPTIONS /2.0/events HTTP/1.1\r\n{bearer}\r\n"),
    );
    assert_eq!(list.json()["chunk_size"], 1_000);
    let url = list.json()["entries"][999]["url"].clone();
    let target = url
        .as_str()
        .expect("a url")
        .split_once("localhost")
        .expect("an origin")
        .1;
    let mut poll = connect(&server);
    let line = format!("GET {target}&stream_position=now HTTP/1.1\r\n{bearer}\r\n");
    poll.write_all(line.as_bytes()).expect("a request");
    assert!(server.wait_until(TIMEOUT, |emulator| emulator.counters().open_polls == 1));
    let page = exchange(&server, format!("GET /2.0/events HTTP/1.1\r\n{bearer}\r\n"));
    assert_eq!(page.json()["chunk_size"], 0);
    server.append("token", 1);
    let mut signal = String::new();
    poll.read_to_string(&mut signal).expect("a signal");
    assert!(signal.ends_with(r#"{"message":"new_change"}"#), "{signal}");
}
