//! Tests of the command `listen`.

#[cfg(target_os = "linux")]
use std::ffi::OsStr;
use std::fs;

use box_longpoll_testkit::EmulatorServer;

use crate::program::{TOKEN, Tail};
use crate::receiver::Reaction::{Close, Status};
use crate::receiver::{Receiver, Request};

/// Starts `listen` with an account of the emulator.
fn listen(server: &EmulatorServer, arguments: &[&str]) -> Tail {
    let environment = [("BOX_ACCESS_TOKEN", TOKEN)];
    let listen = ["listen", "--api", server.origin()];
    Tail::start_with(&environment, &[&listen, arguments].concat())
}

/// Returns the outcomes of the deliveries: the third column of each line.
fn outcomes(lines: &[String]) -> Vec<&str> {
    let columns = lines
        .iter()
        .map(|line| line.split("  ").collect::<Vec<_>>());
    columns.map(|columns| columns[2]).collect()
}

#[test]
fn new_events_are_signed_by_the_secret_that_is_shown() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    let receiver = Receiver::start();
    let mut tail = listen(&server, &["--forward-to", receiver.url()]);
    tail.wait_for_report(|line| line == "listening");
    server.append_json(
        TOKEN,
        [
            r#"{"event_id":"1","event_type":"ITEM_UPLOAD"}"#,
            r#"{"event_id":"2","event_type":"\u001b[31m"}"#,
        ],
    );
    tail.read_events(2);
    let ended = tail.kill();
    let secret = ended.reports[0].strip_prefix("signing secret ").unwrap();
    let requests = receiver.requests();
    let ids: Vec<&str> = requests.iter().map(Request::id).collect();
    assert_eq!(ids, ["1", "2"]);
    assert!(requests.iter().all(|request| request.is_signed_by(secret)));
    for (line, kind) in ended.events.iter().zip(["ITEM_UPLOAD", r"\u{1b}[31m"]) {
        let columns: Vec<&str> = line.split("  ").collect();
        let [time, shown, status, duration] = columns[..] else {
            panic!("{line}")
        };
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert_eq!((shown, status), (kind, "204 No Content"));
        assert!(duration.ends_with(" ms"), "{line}");
    }
    let mut other = listen(&server, &["--forward-to", receiver.url()]);
    other.wait_for_report(|line| line == "listening");
    assert!(
        !other.kill().reports[0].contains(secret),
        "each run has its own secret"
    );
}

#[test]
fn failed_delivery_is_shown_and_the_next_event_follows() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 4);
    let receiver = Receiver::start();
    receiver.script([Status(500), Status(404), Close]);
    let arguments = ["--from", "oldest", "--forward-to", receiver.url()];
    let mut tail = listen(&server, &arguments);
    tail.read_events(4);
    let newest = server.emulator().newest_position(TOKEN);
    tail.wait_for_report(|line| line == format!("position {newest}"));
    let ended = tail.kill();
    let requests = receiver.requests();
    let ids: Vec<&str> = requests.iter().map(Request::id).collect();
    assert_eq!(ids, server.event_ids(TOKEN));
    let outcomes = outcomes(&ended.events);
    assert_eq!(
        outcomes[..2],
        ["500 Internal Server Error", "404 Not Found"]
    );
    assert!(outcomes[2].contains("before the response"), "{outcomes:?}");
    assert_eq!(outcomes[3], "204 No Content");
}

#[test]
fn option_retry_delivers_each_event() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 2);
    let receiver = Receiver::start();
    receiver.script([Status(500), Status(404)]);
    let arguments = [
        "--from",
        "oldest",
        "--retry",
        "--forward-to",
        receiver.url(),
    ];
    let mut tail = listen(&server, &arguments);
    tail.read_events(4);
    let ended = tail.kill();
    let log = server.event_ids(TOKEN);
    let requests = receiver.requests();
    let ids: Vec<&str> = requests.iter().map(Request::id).collect();
    assert_eq!(ids, [&log[0], &log[0], &log[0], &log[1]]);
    let shown = [
        "500 Internal Server Error",
        "404 Not Found",
        "204 No Content",
        "204 No Content",
    ];
    assert_eq!(outcomes(&ended.events), shown);
}

/// An error of the output is no reason to deliver an event again, or to skip one.
#[cfg(target_os = "linux")]
#[test]
fn delivered_event_is_not_sent_again_when_stdout_is_full() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    for retry in [&["--retry"][..], &[]] {
        let receiver = Receiver::start();
        let forward = ["--from", "oldest", "--forward-to", receiver.url()];
        let listen = ["listen", "--api", server.origin(), "--token", TOKEN];
        let arguments = [&listen[..], &forward, retry].concat();
        let shell = ["sh", "-c", r#"exec "$@" > /dev/full"#, "sh"].map(OsStr::new);
        let ended = Tail::run(&shell, &arguments).end();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended.reports.concat().contains("standard output"),
            "{ended:?}"
        );
        assert_eq!(receiver.requests().len(), 1, "{ended:?}");
    }
}

#[test]
fn receiver_may_start_after_the_program() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 1);
    let address = Receiver::free_address();
    // A developer leaves out the scheme.
    let url = format!("{address}/hook");
    let mut tail = listen(&server, &["--from", "oldest", "--forward-to", &url]);
    tail.read_events(1);
    let receiver = Receiver::start_on(address);
    server.append(TOKEN, 1);
    tail.read_events(1);
    let ended = tail.kill();
    let outcomes = outcomes(&ended.events);
    assert!(outcomes[0].starts_with("could not connect"), "{outcomes:?}");
    assert_eq!(outcomes[1], "204 No Content");
    assert_eq!(receiver.requests()[0].id(), server.event_ids(TOKEN)[1]);
}

#[test]
fn given_secret_signs_and_is_not_shown() {
    const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let server = EmulatorServer::start();
    server.append(TOKEN, 1);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, SECRET).unwrap();
    let receiver = Receiver::start();
    let secret = ["--from", "oldest", "--secret-file", file.to_str().unwrap()];
    let arguments = [&secret[..], &["--forward-to", receiver.url()]].concat();
    let mut tail = listen(&server, &arguments);
    tail.read_events(1);
    let ended = tail.kill();
    assert!(receiver.requests()[0].is_signed_by(SECRET));
    assert!(!format!("{ended:?}").contains("whsec"), "{ended:?}");
}

#[test]
fn demo_sends_made_up_events() {
    let receiver = Receiver::start();
    let mut tail = Tail::start(&["listen", "--demo", "--forward-to", receiver.url()]);
    tail.read_events(2);
    tail.kill();
    receiver.wait_for(2);
}

#[test]
fn filter_selects_the_events_to_send() {
    let server = EmulatorServer::start();
    let event = |kind: &str| format!(r#"{{"event_id":"{kind}","event_type":"{kind}"}}"#);
    server.append_json(TOKEN, ["ITEM_UPLOAD", "ITEM_TRASH", "ITEM_MOVE"].map(event));
    let receiver = Receiver::start();
    let filter = ["--from", "oldest", "--type", "ITEM_MOVE"];
    let arguments = [&filter[..], &["--forward-to", receiver.url()]].concat();
    let mut tail = listen(&server, &arguments);
    tail.read_events(1);
    tail.kill();
    assert_eq!(receiver.requests()[0].id(), "ITEM_MOVE");
}

#[test]
fn receiver_on_another_machine_is_refused() {
    for url in [
        "http://ada:hidden@example.com/hidden",
        "10.0.0.1:3000",
        "http://localhost.example.com",
        // A proxy of the environment would get the events.
        "http://ada:hidden@app.localhost:3000",
    ] {
        let ended = Tail::start(&["listen", "--demo", "--forward-to", url]).end_without_events();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.reports[0].contains("follow --to"), "{ended:?}");
        assert!(!format!("{ended:?}").contains("hidden"), "{ended:?}");
    }
    let ended = Tail::start(&["listen", "--demo"]).end_without_events();
    assert_eq!(ended.code, Some(2), "{ended:?}");
}
