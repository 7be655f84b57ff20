//! The server over real connections: polls, faults on the wire, and the control API. The rules of
//! Box's API are tested without a network, in `emulator.rs`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use box_longpoll_testkit::{Application, EmulatorServer, Endpoint, Fault, PastEvents, Settings};
use serde_json::{Value, json};

/// The time limit of a wait. Only a test that hangs reaches it, because nothing here waits for a
/// time to pass.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The first digits of `printf token | sha256sum`.
const TOKEN_HASH: &str = "sha256:3c469e9d6c5875d3";

fn connect(server: &EmulatorServer) -> TcpStream {
    let address = server.origin().strip_prefix("http://").expect("an origin");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    stream
}

fn write(mut stream: &TcpStream, method: &str, target: &str, body: &str) {
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer token\r\ncontent-type: application/json\r\n"
    );
    write!(stream, "{head}content-length: {length}\r\n\r\n{body}").expect("the request is written");
}

/// Reads one response with a length from a connection, which may be reused.
fn read(mut stream: &TcpStream) -> (u16, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let status = head[9..12].parse().expect("a status");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .expect("a length");
    let mut body = vec![0; length.parse().expect("a number")];
    stream.read_exact(&mut body).expect("a body");
    (status, body)
}

/// Reads until the server closes the connection. Returns the bytes, and the error if it was no
/// regular close.
fn read_to_end(mut stream: &TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut received = Vec::new();
    let error = stream
        .read_to_end(&mut received)
        .err()
        .map(|error| error.kind());
    (received, error)
}

/// Sends a request on a connection of its own, and returns the status and the JSON of the response.
fn send(server: &EmulatorServer, method: &str, target: &str, body: &str) -> (u16, Value) {
    let stream = connect(server);
    write(&stream, method, target, body);
    let (status, body) = read(&stream);
    (status, serde_json::from_slice(&body).expect("JSON"))
}

fn control(server: &EmulatorServer, method: &str, resource: &str, body: &Value) -> (u16, Value) {
    let target = format!("/_emulator/{resource}");
    send(server, method, &target, &body.to_string())
}

/// Opens a poll, and returns its connection when the emulator holds it.
fn held_poll(server: &EmulatorServer) -> TcpStream {
    let (_, list) = send(server, "OPTIONS", "/2.0/events", "");
    let url = list["entries"][0]["url"].as_str().expect("a url");
    let before = server.counters().open_polls;
    let stream = connect(server);
    write(&stream, "GET", url, "");
    assert!(
        server.wait_until(TIMEOUT, |emulator| emulator.counters().open_polls
            == before + 1)
    );
    stream
}

#[test]
fn api_connections_are_kept_alive() {
    let server = EmulatorServer::start();
    server.append("token", 2);
    let stream = connect(&server);
    for _ in 0..3 {
        write(&stream, "GET", "/2.0/events", "");
        let (status, body) = read(&stream);
        assert_eq!(status, 200);
        assert_eq!(
            serde_json::from_slice::<Value>(&body).expect("JSON")["chunk_size"],
            2
        );
    }
}

#[test]
fn a_change_ends_an_open_poll_and_its_connection() {
    let server = EmulatorServer::start();
    let poll = held_poll(&server);
    server.append("token", 1);
    let (received, error) = read_to_end(&poll);
    assert!(received.ends_with(br#"{"message":"new_change"}"#));
    assert_eq!(error, None);
}

#[test]
fn a_poll_without_a_change_ends_when_its_time_is_up() {
    let server = EmulatorServer::start_with(Settings {
        hold_ms: 50,
        ..Settings::default()
    });
    let (_, list) = send(&server, "OPTIONS", "/2.0/events", "");
    let stream = connect(&server);
    write(
        &stream,
        "GET",
        list["entries"][0]["url"].as_str().expect("a url"),
        "",
    );
    assert!(
        read_to_end(&stream)
            .0
            .ends_with(br#"{"message":"reconnect"}"#)
    );
}

#[test]
fn an_open_poll_is_removed_when_its_client_disconnects() {
    let server = EmulatorServer::start();
    let poll = held_poll(&server);
    drop(poll);
    assert!(server.wait_until(TIMEOUT, |emulator| emulator.counters().open_polls == 0));
}

#[test]
fn hundreds_of_polls_get_one_signal_together() {
    let server = EmulatorServer::start_with(Settings {
        polls_per_url: Some(10_000),
        ..Settings::default()
    });
    let (_, list) = send(&server, "OPTIONS", "/2.0/events", "");
    let url = list["entries"][0]["url"].as_str().expect("a url");
    let polls: Vec<TcpStream> = (0..400).map(|_| connect(&server)).collect();
    for poll in &polls {
        write(poll, "GET", url, "");
    }
    assert!(server.wait_until(TIMEOUT, |emulator| emulator.counters().open_polls == 400));
    server.append("token", 1);
    for poll in &polls {
        assert!(
            read_to_end(poll)
                .0
                .ends_with(br#"{"message":"new_change"}"#)
        );
    }
}

#[test]
fn a_server_that_is_dropped_closes_its_connections() {
    let server = EmulatorServer::start();
    let poll = held_poll(&server);
    drop(server);
    assert_eq!(read_to_end(&poll).0, b"");
}

#[test]
fn wire_faults_break_the_response_where_their_names_say() {
    let server = EmulatorServer::start();
    server.append("token", 3);
    let complete = {
        let stream = connect(&server);
        write(&stream, "GET", "/2.0/events", "");
        read(&stream).1
    };
    let meet = |fault| {
        server.queue_fault(Endpoint::Events, fault, 1);
        let stream = connect(&server);
        write(&stream, "GET", "/2.0/events", "");
        read_to_end(&stream)
    };
    let has =
        |received: &[u8], part: &[u8]| received.windows(part.len()).any(|window| window == part);

    assert_eq!(meet(Fault::CloseBeforeHeaders), (Vec::new(), None));
    assert_eq!(
        meet(Fault::Reset),
        (Vec::new(), Some(ErrorKind::ConnectionReset))
    );

    let (received, _) = meet(Fault::CloseInHeaders);
    assert!(received.starts_with(b"HTTP/1.1 200") && !has(&received, b"\r\n\r\n"));

    let (received, _) = meet(Fault::CloseInBody);
    assert!(has(
        &received,
        format!("content-length: {}\r\n", complete.len()).as_bytes()
    ));
    assert!(received.ends_with(&complete[..complete.len() / 2]));

    assert_eq!(meet(Fault::ResetInBody).1, Some(ErrorKind::ConnectionReset));

    let (received, _) = meet(Fault::CloseInChunk);
    assert!(has(
        &received,
        format!("\r\n\r\n{:x}\r\n", complete.len()).as_bytes()
    ));
    assert!(received.ends_with(&complete[..complete.len() / 2]));
}

#[test]
fn a_never_closed_connection_announces_its_close() {
    let server = EmulatorServer::start();
    server.queue_fault(Endpoint::Options, Fault::NeverClose, 1);
    let mut stream = connect(&server);
    write(&stream, "OPTIONS", "/2.0/events", "");
    assert_eq!(read(&stream).0, 200);
    let soon = Duration::from_millis(50);
    stream.set_read_timeout(Some(soon)).expect("a timeout");
    let open = stream.read(&mut [0]).expect_err("nothing arrives");
    assert!(matches!(
        open.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
}

#[test]
fn silence_lasts_until_the_client_disconnects() {
    let server = EmulatorServer::start();
    server.queue_fault(Endpoint::Events, Fault::Silence, 1);
    let stream = connect(&server);
    write(&stream, "GET", "/2.0/events", "");
    assert!(server.wait_until(TIMEOUT, |emulator| emulator.requests().count() == 1));
    drop(stream);
    let hung_up = |emulator: &box_longpoll_testkit::Emulator| {
        emulator
            .requests()
            .any(|record| record.outcome == box_longpoll_testkit::Outcome::HungUp)
    };
    assert!(server.wait_until(TIMEOUT, hung_up));
}

#[test]
fn a_dripping_response_arrives_complete() {
    let server = EmulatorServer::start();
    for interval_ms in [0, 1] {
        server.queue_fault(Endpoint::Options, Fault::Drip { interval_ms }, 1);
        let (_, list) = send(&server, "OPTIONS", "/2.0/events", "");
        assert_eq!(list["chunk_size"], 1);
    }
}

#[test]
fn an_endless_body_continues_while_the_client_reads() {
    let server = EmulatorServer::start();
    server.queue_fault(Endpoint::Events, Fault::EndlessBody, 1);
    let mut stream = connect(&server);
    write(&stream, "GET", "/2.0/events", "");
    let mut much = vec![0; 4 << 20];
    stream.read_exact(&mut much).expect("there is always more");
}

#[test]
fn everything_can_be_controlled_over_http() {
    let server = EmulatorServer::start();
    let control =
        |method: &str, resource: &str, body: &Value| control(&server, method, resource, body);
    assert_eq!(
        control("POST", "events", &json!({"count": 1})).0,
        409,
        "no account is known yet"
    );
    assert_eq!(
        control("POST", "events", &json!({"account": "token", "count": 2})).0,
        200
    );
    assert_eq!(
        control(
            "POST",
            "events",
            &json!({"account": "token", "events": [null, {"event_id": "x"}]})
        )
        .0,
        200
    );
    let (_, log) = control("GET", "events?account=token", &Value::Null);
    assert_eq!(
        (&log["appended"], log["ids"].as_array().map(Vec::len)),
        (&json!(4), Some(3))
    );
    assert_eq!(
        control("PATCH", "settings", &json!({"retention": 1})).1["retention"],
        1
    );
    assert_eq!(control("GET", "accounts", &Value::Null).1[0]["retained"], 1);
    assert_eq!(
        control("PATCH", "settings", &json!({"no_such_setting": 1})).0,
        400
    );

    let fault = json!({"endpoint": "events", "fault": "status", "status": 418, "headers": {"X-Tea": "pot"}, "times": 2});
    assert_eq!(control("POST", "faults", &fault).1[0]["times"], 2);
    write(&connect(&server), "GET", "/2.0/events", "");
    assert!(server.wait_until(TIMEOUT, |emulator| emulator.queued_faults() == 1));
    assert_eq!(control("DELETE", "faults", &Value::Null).1, json!([]));
    let nonsense = json!({"endpoint": "options", "fault": "unknown_signal"});
    assert_eq!(control("POST", "faults", &nonsense).0, 400);

    let poll = held_poll(&server);
    assert_eq!(
        control(
            "POST",
            "interruptions",
            &json!({"fault": "signal", "message": "hello"})
        )
        .1["polls"],
        1
    );
    assert!(read_to_end(&poll).0.ends_with(br#"{"message":"hello"}"#));

    let (_, counters) = control("GET", "counters", &Value::Null);
    assert_eq!(
        (
            &counters["events"]["requests"],
            &counters["realtime"]["requests"]
        ),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        control("GET", "callers", &Value::Null).1[TOKEN_HASH]["requests"],
        3
    );
    let (_, requests) = control("GET", "requests?since=2", &Value::Null);
    assert_eq!(requests[0]["outcome"], json!({"signaled": "hello"}));
    assert_eq!(
        control("DELETE", "counters", &Value::Null).1["total"]["requests"],
        0
    );

    assert_eq!(control("PUT", "settings", &json!({})).0, 405);
    assert_eq!(control("GET", "nothing", &Value::Null).0, 404);
    let stream = connect(&server);
    write(&stream, "GET", "/_emulator/", "");
    assert!(
        String::from_utf8(read(&stream).1)
            .expect("text")
            .contains("PATCH  /_emulator/settings")
    );
}

#[test]
fn past_events_can_be_appended_over_http() {
    let server = EmulatorServer::start();
    let control =
        |method: &str, resource: &str, body: &Value| control(&server, method, resource, body);
    let past = json!({"account": "past", "count": 100, "from_unix": 1_000_000_000, "until_unix": 1_000_000_100, "seed": 9});
    assert_eq!(control("POST", "past_events", &past).0, 200);
    let (_, log) = control("GET", "events?account=past", &Value::Null);
    let past = PastEvents {
        count: 100,
        from_unix: 1_000_000_000,
        until_unix: 1_000_000_100,
        seed: 9,
    };
    assert_eq!(log["ids"], json!(past.ids().collect::<Vec<_>>()));
    let year = json!({"account": "year", "count": 200});
    assert_eq!(control("POST", "past_events", &year).0, 200);
    let events = server.emulator().events("year");
    let created = |event: &str| {
        let event: Value = serde_json::from_str(event).expect("JSON");
        let text = event["created_at"].as_str().expect("a date");
        text.parse::<jiff::Timestamp>().expect("a date").as_second()
    };
    let (first, last) = (created(&events[0]), created(&events[199]));
    let days = (server.unix() - first, server.unix() - last);
    assert!(
        (364 * 86_400..364 * 86_400 + 600).contains(&days.0),
        "{days:?}"
    );
    assert!((0..3 * 86_400).contains(&days.1), "{days:?}");
}

#[test]
fn an_application_can_be_registered_and_log_in_over_http() {
    let server = EmulatorServer::start_with(Settings {
        issued_tokens_only: true,
        ..Settings::default()
    });
    let control =
        |method: &str, resource: &str, body: &Value| control(&server, method, resource, body);
    let application = json!({"client_id": "app", "client_secret": "hush", "enterprise_id": "42"});
    assert_eq!(control("POST", "applications", &application).0, 200);
    let (_, applications) = control("GET", "applications", &Value::Null);
    assert_eq!(applications[0]["client_id"], "app");
    assert!(!applications.to_string().contains("hush"));
    let incomplete = json!({"client_id": "app"});
    assert_eq!(control("POST", "applications", &incomplete).0, 400);

    let user = json!({"client_id": "app", "user_id": "1"});
    let (_, seeded) = control("POST", "refresh_tokens", &user);
    let (_, code) = control("POST", "authorization_codes", &user);
    let stranger = json!({"client_id": "stranger", "user_id": "1"});
    assert_eq!(control("POST", "refresh_tokens", &stranger).0, 404);

    let log_in = |form: String| {
        let form = format!("client_id=app&client_secret=hush&{form}");
        send(&server, "POST", "/oauth2/token", &form)
    };
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let token = text(&seeded["refresh_token"]);
    let (status, issued) = log_in(format!("grant_type=refresh_token&refresh_token={token}"));
    assert_eq!(status, 200);
    let code = text(&code["code"]);
    assert_eq!(
        log_in(format!("grant_type=authorization_code&code={code}")).0,
        200
    );

    let disabled = json!({"client_id": "app", "client_secret": "hush", "enterprise_id": "42", "authorized": false});
    assert_eq!(control("POST", "applications", &disabled).0, 200);
    let (status, refusal) = log_in("grant_type=client_credentials".into());
    assert_eq!(
        (status, &refusal["error"]),
        (400, &json!("unauthorized_client"))
    );

    let stream = connect(&server);
    let token = text(&issued["access_token"]);
    let head = "GET /2.0/events HTTP/1.1\r\nhost: emulator\r\nauthorization: Bearer";
    write!(&stream, "{head} {token}\r\n\r\n").expect("the request is written");
    assert_eq!(read(&stream).0, 200);
    assert_eq!(send(&server, "GET", "/2.0/events", "").0, 401, "made up");
}

#[test]
fn a_token_request_is_carried_out_if_its_response_is_lost() {
    let server = EmulatorServer::start();
    server.register(Application::new("app", "hush", "42"));
    let token = server.grant_refresh_token("app", "1");
    let form =
        format!("client_id=app&client_secret=hush&grant_type=refresh_token&refresh_token={token}");
    server.queue_fault(Endpoint::Token, Fault::LostResponse, 1);
    let stream = connect(&server);
    write(&stream, "POST", "/oauth2/token", &form);
    assert_eq!(
        read_to_end(&stream),
        (Vec::new(), Some(ErrorKind::ConnectionReset))
    );
    let (_, refusal) = send(&server, "POST", "/oauth2/token", &form);
    assert_eq!(refusal["error_description"], "Invalid refresh token");
}
