//! Tests of the web server of `--metrics`, by requests that a browser would not send too.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault, Settings};
use rstest::rstest;
use serde_json::Value;

use crate::program::{TOKEN, Tail};
use crate::pulse::Pulse;
use crate::web_client::WebClient;

/// More connections than the server takes.
const TOO_MANY: usize = 100;

#[test]
fn page_and_metrics_count_the_written_events() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 7);
    let (mut tail, web) = WebClient::start(&server, &["--from", "oldest"]);
    tail.read_events(7);
    let line = r#"box_tail_events_total{sink="stdout"} 7"#;
    let metrics = web.wait_for("/metrics", |metrics| metrics.body.contains(line));
    let content_type = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(metrics.head.contains(content_type), "{metrics:?}");
    let library = r#"box_longpoll_events_total{stream_type="all"} 7"#;
    assert!(metrics.body.contains(library), "{metrics:?}");
    assert!(!metrics.body.contains(TOKEN), "{metrics:?}");
}

#[test]
fn feed_sends_numbers_and_events() {
    let server = EmulatorServer::start();
    let (_tail, web) = WebClient::start(&server, &["--from", "oldest"]);
    let mut connection = web.connect();
    write!(
        connection,
        "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n"
    )
    .unwrap();
    let mut lines = BufReader::new(connection).lines().map(Result::unwrap);
    let mut data_of = |kind: &str| -> Value {
        lines
            .find(|line| *line == format!("event: {kind}"))
            .unwrap();
        let data = lines.next().unwrap();
        serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap()
    };
    assert_eq!(data_of("overview")[1]["events"], 0);
    server.append_json(
        TOKEN,
        [format!(
            r#"{{"event_id":"1","event_type":"ITEM_UPLOAD","created_at":"2026-01-02T03:04:05-08:00",
            "created_by":{{"name":"Ada"}},"source":{{"type":"file","name":"{}"}}}}"#,
            "x".repeat(10_000)
        )],
    );
    let events = data_of("events");
    assert_eq!(events[0]["number"], 1);
    assert_eq!(events[0]["created_at"], "2026-01-02T11:04:05Z");
    assert_eq!(events[0]["event_type"], "ITEM_UPLOAD");
    assert_eq!(events[0]["who"], "Ada");
    let what = events[0]["what"].as_str().unwrap();
    assert!(what.starts_with("file \"xxx") && what.len() < 120, "{what}");
    // A reader that comes later gets the same event.
    assert_eq!(server.event_ids(TOKEN).len(), 1);
    assert_eq!(data_of("overview")[1]["events"], 1);
}

#[rstest]
#[case("127.0.0.1:9464", true)]
#[case("192.0.2.7", true)]
#[case("[::1]:9464", true)]
#[case("localhost", true)]
#[case("LOCALHOST:80", true)]
#[case("tail.example", true)]
#[case("Tail.Example:9464", true)]
#[case("evil.example", false)]
#[case("evil.example:9464", false)]
#[case("evil.tail.example", false)]
#[case("tail.example.evil.example", false)]
#[case("localhost.evil.example", false)]
#[case("127.0.0.1.evil.example", false)]
#[case("127.0.0.1@evil.example", false)]
#[case("2130706433.example", false)]
#[case("[::1].evil.example", false)]
#[case("", false)]
#[case("localhost, evil.example", false)]
fn page_is_shown_under_trusted_hosts_only(#[case] host: &str, #[case] is_shown: bool) {
    let server = EmulatorServer::start();
    let (_tail, web) = WebClient::start(&server, &["--metrics-host", "tail.example"]);
    let headers = format!("host: {host}\r\n");
    let page = web.get_as("/", &headers);
    assert_eq!(page.status, if is_shown { 200 } else { 421 }, "{page:?}");
    assert_eq!(page.body.contains("<html"), is_shown, "{page:?}");
    if !is_shown {
        assert_eq!(web.get_as("/events", &headers).status, 421);
        // They show no names, and a scraper may use any name of the machine.
        for path in ["/metrics", "/live"] {
            assert_eq!(web.get_as(path, &headers).status, 200, "{path}");
        }
    }
}

#[test]
fn page_is_refused_for_unclear_hosts() {
    let server = EmulatorServer::start();
    let (_tail, web) = WebClient::start(&server, &[]);
    for headers in ["", "host: localhost\r\nhost: evil.example\r\n"] {
        let page = web.get_as("/", headers);
        assert!([400, 421].contains(&page.status), "{headers:?} {page:?}");
    }
    let page = web.get_as("http://evil.example/", "host: localhost\r\n");
    assert_eq!(page.status, 421, "{page:?}");
}

#[test]
fn feed_is_refused_for_other_websites() {
    let server = EmulatorServer::start();
    let (_tail, web) = WebClient::start(&server, &[]);
    for site in ["cross-site", "same-site"] {
        let headers = format!("host: localhost\r\nsec-fetch-site: {site}\r\n");
        assert_eq!(web.get_as("/events", &headers).status, 403, "{site}");
    }
}

#[test]
fn responses_forbid_foreign_code_and_frames() {
    let server = EmulatorServer::start();
    let (_tail, web) = WebClient::start(&server, &[]);
    for path in [
        "/",
        "/page.css",
        "/page.js",
        "/metrics",
        "/live",
        "/ready",
        "/nothing",
    ] {
        let head = web.get(path).head;
        for expected in [
            "content-security-policy: default-src 'none'; script-src 'self';",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
        ] {
            assert!(head.contains(expected), "{path}: {head}");
        }
        assert!(!head.contains("access-control-"), "{path}: {head}");
    }
    let page = web.get("/").body;
    for inline in ["<style", "style=", " onclick", "<script>"] {
        assert!(!page.contains(inline), "{inline}");
    }
}

#[test]
fn port_in_use_is_an_error_before_the_stream_starts() {
    let server = EmulatorServer::start();
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = other.local_addr().unwrap().to_string();
    let ended = Tail::of(&server, &["--metrics", &address]).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let [error] = &ended.reports[..] else {
        panic!("{ended:?}")
    };
    assert!(
        error.contains(&address) && error.contains("--metrics") && error.contains("port"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 0);
}

#[rstest]
#[case("0", "127.0.0.1:")]
#[case(":0", "127.0.0.1:")]
#[case("localhost:0", "127.0.0.1:")]
#[case("127.0.0.1:0", "127.0.0.1:")]
#[case("0.0.0.0:0", "127.0.0.1:")]
fn server_listens_on_this_machine_unless_told(#[case] address: &str, #[case] expected: &str) {
    let mut tail = Tail::start(&["--demo", "--metrics", address]);
    let web = WebClient::of(&mut tail);
    assert!(web.authority.starts_with(expected), "{web:?}");
    assert_eq!(web.get("/live").status, 200);
}

#[test]
fn invalid_address_is_refused_with_an_example() {
    for (arguments, expected) in [
        (&["--metrics", "127.0.0.1"][..], "the port is missing"),
        (&["--metrics", "::1"], "the port is missing"),
        (&["--metrics", "box.example:9464"], "IP address"),
        (&["--metrics", "99999"], "127.0.0.1:9464"),
        (&["--metrics", ""], "127.0.0.1:9464"),
        (&["--metrics", "0", "--metrics-host", "a b"], "host name"),
        (&["--metrics", "0", "--metrics-host", "a:1"], "host name"),
        (&["--metrics-host", "tail.example"], "--metrics <ADDR>"),
    ] {
        let ended = Tail::start(arguments).end_without_events();
        assert_eq!(ended.code, Some(2), "{arguments:?} {ended:?}");
        let text = ended.reports.join("\n");
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn ready_says_why_not_until_the_stream_works() {
    let server = EmulatorServer::start();
    server.queue_fault(Endpoint::Events, Fault::ServerError, 1_000);
    let (_tail, web) = WebClient::start(&server, &[]);
    let ready = web.wait_for("/ready", |ready| ready.body.contains("retrying"));
    assert_eq!(ready.status, 503, "{ready:?}");
    let ready: Value = serde_json::from_str(&ready.body).unwrap();
    assert_eq!(ready["ready"], false);
    assert_eq!(ready["state"], "retrying");
    // A restart would not help.
    assert_eq!(web.get("/live").status, 200);
    server.emulator().clear_faults();
    let ready = web.wait_for("/ready", |ready| ready.status == 200);
    let ready: Value = serde_json::from_str(&ready.body).unwrap();
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["state"], "live");
}

#[cfg(unix)]
#[test]
fn failing_output_is_counted_and_makes_the_program_unready() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 1);
    let (_tail, web) = WebClient::start(&server, &["--from", "oldest", "--exec", "exit 75"]);
    let ready = web.wait_for("/ready", |ready| ready.body.contains("output_failing"));
    assert_eq!(ready.status, 503, "{ready:?}");
    assert_eq!(web.get("/live").status, 200);
    let errors = r#"box_tail_sink_errors_total{sink="exec",kind="unavailable"}"#;
    let metrics = web.get("/metrics").body;
    let count = metrics.lines().find_map(|line| line.strip_prefix(errors));
    assert_ne!(count.expect("the metric is there").trim(), "0");

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dead");
    let on_error = format!("dead-letter:{}", file.display());
    let arguments = [
        "--from",
        "oldest",
        "--exec",
        "exit 1",
        "--on-error",
        &on_error,
    ];
    let (_tail, web) = WebClient::start(&server, &arguments);
    let metrics = web.wait_for("/metrics", |metrics| {
        metrics.body.contains("box_tail_dead_letters_total 1")
    });
    let refused = r#"box_tail_sink_errors_total{sink="exec",kind="refused"} 3"#;
    assert!(metrics.body.contains(refused), "{metrics:?}");
}

#[test]
fn metrics_name_the_kind_of_the_output() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 5);
    let directory = tempfile::tempdir().unwrap();
    for kind in ["jsonl", "sqlite"] {
        let to = format!("{kind}:{}", directory.path().join(kind).display());
        let (_tail, web) = WebClient::start(&server, &["--from", "oldest", "--to", &to]);
        let written = format!("box_tail_events_total{{sink=\"{kind}\"}} 5");
        web.wait_for("/metrics", |metrics| metrics.body.contains(&written));
    }
}

#[test]
fn pulse_stops_while_the_main_loop_blocks() {
    let pulse = Pulse::new();
    let (release, released) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let pulse = &pulse;
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(pulse.of(async { released.recv() }))
        });
        while pulse.silence() < Duration::from_secs(3) {
            thread::yield_now();
        }
        drop(release);
    });
}

/// Clients that send nothing, half a request, or requests whose responses they do not read.
#[test]
fn hostile_clients_do_not_delay_the_stream() {
    let server = EmulatorServer::start_with(Settings::default());
    let (mut tail, web) = WebClient::start(&server, &["--json", "--from", "oldest"]);
    tail.wait_for_report(|line| line == "listening");
    let mut clients = Vec::new();
    for number in 0..TOO_MANY {
        let mut client = web.connect();
        let request: &[u8] = match number % 4 {
            0 => b"",
            1 => b"GET /metrics HTTP/1.1\r\nhost: ",
            2 => b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n",
            _ => &b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(200),
        };
        // The server closes the connections that are too many.
        let _ = client.write_all(request);
        clients.push(client);
    }
    server.append(TOKEN, 2_000);
    tail.read_events(2_000);
    let mut last = web.connect();
    let _ = last.write_all(b"GET /live HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let read = last.read(&mut [0]);
    assert!(matches!(read, Ok(0) | Err(_)), "the limit has no effect");
    drop(clients);
    web.wait_until_it_responds();
    let count = r#"box_tail_events_total{sink="stdout"} 2000"#;
    web.wait_for("/metrics", |metrics| metrics.body.contains(count));
    assert_eq!(tail.kill().ids(), server.event_ids(TOKEN));
}

#[test]
fn feed_has_few_readers() {
    let server = EmulatorServer::start();
    let (_tail, web) = WebClient::start(&server, &[]);
    let read = |count: usize| {
        let mut connection = web.connect();
        write!(
            connection,
            "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n"
        )
        .unwrap();
        let mut status = [0; 12];
        connection.read_exact(&mut status).unwrap();
        (count, status, connection)
    };
    let readers: Vec<_> = (1..=16).map(read).collect();
    assert!(
        readers
            .iter()
            .all(|(_, status, _)| status.ends_with(b"200"))
    );
    assert!(read(17).1.ends_with(b"503"));
    // Others are not affected.
    assert_eq!(web.get("/metrics").status, 200);
    drop(readers);
}
