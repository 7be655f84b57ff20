//! Tests of `follow --to URL`, with a receiver on this machine.

use std::fs;

use box_longpoll_testkit::EmulatorServer;
use rstest::rstest;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{BACKENDS, TOKEN, Tail};
use crate::receiver::Reaction::{Close, Later, Silence, Status};
use crate::receiver::{Receiver, Request};
use crate::sinks::kills::{Guarantee, KillableSink, events, kills, survives_kills};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The arguments to send all events of the account to a receiver.
fn to(url: &str) -> [&str; 4] {
    ["--from", "oldest", "--to", url]
}

/// Writes a secret to a file in a directory of its own.
fn secret_file(text: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (directory, name)
}

/// Returns the ids of the events in the requests, in the order of their arrival.
fn ids(requests: &[Request]) -> Vec<String> {
    requests.iter().flat_map(Request::event_ids).collect()
}

#[test]
fn webhook_has_the_exact_event_and_its_signatures() {
    let server = EmulatorServer::start();
    let events = [
        r#"{"event_id":"1","event_type":"ITEM_UPLOAD","created_at":"2026-01-02T03:04:05-08:00","big":12345678901234567890123}"#,
        "{\"event_id\":\"2\",\r\n \"event_type\":\"it is \\\"new\\\"\"}",
        r#"{"event_id":"3"}"#,
    ];
    server.append_json(TOKEN, events);
    let receiver = Receiver::start();
    let (_directory, file) = secret_file(&format!("{SECRET}\n{NEXT_SECRET}\n"));
    let url = receiver.url();
    let signed = ["--secret-file", &file, "--count", "3"];
    let ended = Tail::of(&server, &[&to(url)[..], &signed].concat()).end_without_events();
    assert_eq!(ended.code, Some(0), "{ended:?}");

    let requests = receiver.requests();
    let bodies: Vec<&str> = requests.iter().map(|request| &*request.body).collect();
    let upload = format!(
        r#"{{"type":"ITEM_UPLOAD","timestamp":"2026-01-02T11:04:05Z","data":{}}}"#,
        events[0]
    );
    assert_eq!(
        bodies,
        [
            &*upload,
            "{\"type\":\"it is \\\"new\\\"\",\"data\":{\"event_id\":\"2\",   \"event_type\":\"it is \\\"new\\\"\"}}",
            r#"{"type":"unknown","data":{"event_id":"3"}}"#,
        ]
    );
    let version = format!("box-tail/{}", env!("CARGO_PKG_VERSION"));
    for (request, id) in requests.iter().zip(["1", "2", "3"]) {
        assert_eq!(request.line, "POST /hook HTTP/1.1");
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("user-agent"), Some(&*version));
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.id(), id);
        assert!(request.is_signed_by(SECRET) && request.is_signed_by(NEXT_SECRET));
        assert!(!request.is_signed_by("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx"));
        assert!((request.timestamp() - server.unix()).abs() < 600);
    }
}

#[test]
fn webhook_has_the_event_in_the_format_that_was_chosen() {
    let server = EmulatorServer::start();
    server.append_json(TOKEN, [r#"{"event_id":"1","event_type":"ITEM_UPLOAD"}"#]);
    let receiver = Receiver::start();
    let to = to(receiver.url());
    let ended = Tail::of(
        &server,
        &[&to[..], &["--count", "1", "--format", "ecs"]].concat(),
    )
    .end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let body: Value = serde_json::from_str(&receiver.requests()[0].body).unwrap();
    assert_eq!(body["type"], "ITEM_UPLOAD");
    assert_eq!(body["data"]["event"]["id"], "1");
    assert!(body["data"]["ecs"]["version"].is_string(), "{body}");
}

#[test]
fn webhook_is_not_signed_without_a_secret() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 1);
    let receiver = Receiver::start();
    let ended = Tail::of(
        &server,
        &[&to(receiver.url())[..], &["--count", "1"]].concat(),
    )
    .end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(receiver.requests()[0].header("webhook-signature"), None);
}

#[test]
fn every_backend_delivers_and_retries() {
    for backend in BACKENDS {
        let server = EmulatorServer::start();
        server.append(TOKEN, 3);
        let receiver = Receiver::start();
        receiver.script([Status(204), Close]);
        let url = receiver.url();
        let arguments = ["--count", "3", "--backend", backend];
        let ended = Tail::of(&server, &[&to(url)[..], &arguments].concat()).end();
        assert_eq!(ended.code, Some(0), "{backend}: {ended:?}");
        assert_eq!(ids(&receiver.acknowledged()), server.event_ids(TOKEN));
    }
}

#[test]
fn failed_delivery_is_retried_before_the_next_event() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    let log = server.event_ids(TOKEN);
    let receiver = Receiver::start();
    receiver.script([
        Status(200),
        Status(404),
        Later(429, "3"),
        Close,
        Silence,
        Status(302),
    ]);
    let url = receiver.url();
    let arguments = ["--delivery-timeout", "1s"];
    let mut tail = Tail::of(&server, &[&to(url)[..], &arguments].concat());
    let newest = server.emulator().newest_position(TOKEN);
    tail.wait_for_report(|line| line == format!("position {newest}"));
    let ended = tail.kill();

    let requests = receiver.requests();
    let second = std::iter::repeat_n(&log[1], 6);
    let expected: Vec<_> = [&log[0]]
        .into_iter()
        .chain(second)
        .chain([&log[2]])
        .collect();
    assert_eq!(ids(&requests).iter().collect::<Vec<_>>(), expected);
    let same: Vec<&str> = requests[1..7].iter().map(Request::id).collect();
    assert_eq!(same, [&*log[1]; 6]);
    let pause = requests[3].timestamp() - requests[2].timestamp();
    assert!(pause >= 3, "{pause} s");
    let failures = ["404", "429", "before the response", "in time", "302"];
    let origin = url.strip_suffix("/hook").unwrap();
    let start = format!("retrying the output: {origin}: ");
    let lines = ended.reports.iter().filter(|line| line.starts_with(&start));
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), failures.len(), "{ended:?}");
    for (failure, line) in failures.into_iter().zip(lines) {
        assert!(line.contains(failure), "{failure}: {line}");
    }
}

#[test]
fn retry_after_may_be_a_date() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 1);
    let receiver = Receiver::start();
    receiver.script([Later(503, "Sun, 06 Nov 1994 08:49:37 GMT")]);
    let ended = Tail::of(
        &server,
        &[&to(receiver.url())[..], &["--count", "1"]].concat(),
    )
    .end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(receiver.requests().len(), 2);
}

#[test]
fn receiver_that_was_down_gets_every_event() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 5);
    let address = Receiver::free_address();
    let url = format!("http://{address}/hook");
    let mut tail = Tail::of(&server, &[&to(&url)[..], &["--count", "5"]].concat());
    tail.wait_for_report(|line| line.contains("could not connect"));
    let receiver = Receiver::start_on(address);
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ids(&receiver.requests()), server.event_ids(TOKEN));
}

#[test]
fn receiver_that_is_gone_ends_the_program() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    for policy in [&[][..], &["--on-error", "retry"]] {
        let receiver = Receiver::start();
        receiver.script([Status(200), Status(410)]);
        let from = ["--from", "oldest", "--to", receiver.url()];
        let ended = Tail::of(&server, &[&from[..], policy].concat()).end();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let last = ended.reports.last().unwrap();
        assert!(
            last.contains("410 Gone: the receiver wants no more events")
                && last.ends_with("resume with --from oldest"),
            "{last}"
        );
        assert_eq!(receiver.requests().len(), 2);
    }
}

#[test]
fn policy_stop_ends_the_program_with_the_position() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    let receiver = Receiver::start();
    receiver.script([Status(200), Status(503)]);
    let arguments = [
        "--from",
        "oldest",
        "--to",
        receiver.url(),
        "--on-error",
        "stop",
    ];
    let ended = Tail::of(&server, &arguments).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert!(
        last.contains("503 Service Unavailable") && last.ends_with("resume with --from oldest"),
        "{last}"
    );
    assert_eq!(receiver.requests().len(), 2);
}

#[rstest]
#[case::one_by_one(&[], 6)]
#[case::in_batches(&["--webhook-batch", "4"], 7)]
fn refused_event_goes_to_the_dead_letters(#[case] batch: &[&str], #[case] requests: usize) {
    let server = EmulatorServer::start();
    let event = |id: &str| format!(r#"{{"event_id":"{id}"}}"#);
    server.append_json(TOKEN, ["a", "b", "bad", "c"].map(event));
    let receiver = Receiver::start();
    receiver.refuse("bad", 422);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dead-letters");
    let policy = format!("dead-letter:{}", file.to_str().unwrap());
    let arguments = [&to(receiver.url())[..], batch, &["--on-error", &policy]].concat();
    let mut tail = Tail::of(&server, &arguments);
    let newest = server.emulator().newest_position(TOKEN);
    tail.wait_for_report(|line| line == format!("position {newest}"));
    let ended = tail.kill();

    let went = |line: &&String| line.starts_with("the event bad went to ");
    assert_eq!(ended.reports.iter().filter(went).count(), 1, "{ended:?}");
    assert_eq!(ids(&receiver.acknowledged()), ["a", "b", "c"]);
    assert_eq!(receiver.requests().len(), requests);
    let text = fs::read_to_string(&file).unwrap();
    let letter: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(letter["event"]["event_id"], "bad");
    let error = letter["error"].as_str().unwrap();
    assert!(error.contains("422 Unprocessable Entity"), "{error}");
    let time = letter["time"].as_str().unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
}

#[test]
fn unavailable_receiver_sends_nothing_to_the_dead_letters() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 2);
    let receiver = Receiver::start();
    receiver.script([500, 503, 408, 425].map(Status));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dead-letters");
    let policy = format!("dead-letter:{}", file.to_str().unwrap());
    let arguments = ["--on-error", &policy, "--count", "2"];
    let ended = Tail::of(&server, &[&to(receiver.url())[..], &arguments].concat()).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ids(&receiver.acknowledged()), server.event_ids(TOKEN));
    assert_eq!(fs::read(&file).unwrap(), b"");
}

#[test]
fn dead_letter_begins_a_line_after_a_torn_one() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 1);
    let receiver = Receiver::start();
    receiver.refuse("event_id", 400);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dead-letters");
    fs::write(&file, r#"{"time":"20"#).unwrap();
    let policy = format!("dead-letter:{}", file.to_str().unwrap());
    let arguments = ["--on-error", &policy, "--count", "1"];
    let ended = Tail::of(&server, &[&to(receiver.url())[..], &arguments].concat()).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0], r#"{"time":"20"#);
    assert!(serde_json::from_str::<Value>(lines[1]).is_ok(), "{text}");
}

#[test]
fn dead_letters_that_cannot_be_written_end_the_program_at_once() {
    let receiver = Receiver::start();
    let directory = tempfile::tempdir().unwrap();
    let policy = format!("dead-letter:{}", directory.path().to_str().unwrap());
    let server = EmulatorServer::start();
    let arguments = [&to(receiver.url())[..], &["--on-error", &policy]].concat();
    let ended = Tail::of(&server, &arguments).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert!(
        last.contains("dead letters") && last.contains("directory"),
        "{last}"
    );
}

#[test]
fn batch_is_an_array_with_an_id_of_its_own() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 5);
    let receiver = Receiver::start();
    receiver.script([Status(200), Status(500)]);
    let arguments = ["--webhook-batch", "2", "--count", "5"];
    let ended = Tail::of(&server, &[&to(receiver.url())[..], &arguments].concat()).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let requests = receiver.requests();
    let sizes: Vec<usize> = requests
        .iter()
        .map(|request| request.event_ids().len())
        .collect();
    assert_eq!(sizes, [2, 2, 2, 1]);
    assert!(requests.iter().all(|request| request.body.starts_with('[')));
    assert_eq!(ids(&receiver.acknowledged()), server.event_ids(TOKEN));
    let batches: Vec<&str> = requests.iter().map(Request::id).collect();
    assert_eq!(batches[1], batches[2]);
    assert!(
        batches[0] != batches[1] && batches[2] != batches[3],
        "{batches:?}"
    );
}

#[test]
fn webhook_id_is_safe_when_that_of_the_event_is_not() {
    let server = EmulatorServer::start();
    let events = [
        r#"{"event_id":"a.b"}"#,
        r#"{"event_id":"a\nb"}"#,
        r#"{"event_id":""}"#,
        r#"{"no":"id"}"#,
        r#"{"no":"id at all"}"#,
    ];
    server.append_json(TOKEN, events);
    let receiver = Receiver::start();
    let ended = Tail::of(
        &server,
        &[&to(receiver.url())[..], &["--count", "5"]].concat(),
    )
    .end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let requests = receiver.requests();
    let mut ids: Vec<&str> = requests.iter().map(Request::id).collect();
    assert!(
        ids.iter().all(|id| id.len() > 43 && !id.contains('.')),
        "{ids:?}"
    );
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[test]
fn password_and_secret_are_sent_but_never_printed() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 1);
    let receiver = Receiver::start();
    receiver.script([Status(500), Status(404), Close, Status(410)]);
    let address = receiver.url();
    let address = address.strip_prefix("http://").unwrap();
    let url = format!("http://ada:hid%40den-1@{address}/hidden-2?key=hidden-3");
    let environment = [
        ("BOX_TAIL_WEBHOOK_SECRET", SECRET),
        ("BOX_ACCESS_TOKEN", TOKEN),
    ];
    let account = ["--api", server.origin()];
    let ended = Tail::start_with(&environment, &[&account[..], &to(&url)].concat()).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let request = &receiver.requests()[0];
    assert_eq!(request.line, "POST /hook/hidden-2?key=hidden-3 HTTP/1.1");
    // The base64 of `ada:hid@den-1`.
    let basic = "Basic YWRhOmhpZEBkZW4tMQ==";
    assert_eq!(request.header("authorization"), Some(basic));
    assert!(request.is_signed_by(SECRET));
    assert_shows_no_secret(&format!("{ended:?}"));
}

#[track_caller]
fn assert_shows_no_secret(text: &str) {
    for secret in ["hidden", "den-1", "ada", &basic(SECRET), TOKEN, "Basic"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

/// Returns the secret part of a signing secret.
fn basic(secret: &str) -> String {
    secret.replace("whsec_", "")
}

#[test]
fn invalid_secret_or_url_is_refused_and_not_printed() {
    let server = EmulatorServer::start();
    let receiver = Receiver::start();
    let url = receiver.url();
    for secret in [
        "hidden",
        "",
        "whsec_",
        "whsec_hidden!",
        // 23 bytes, and 65 bytes.
        "whsec_hiddenhiddenhiddenhiddenhidde=",
        &format!("whsec_{}hide", "hiddenhiddenhiddenhidden".repeat(4)),
        &format!("{SECRET} hidden"),
    ] {
        let (_directory, file) = secret_file(secret);
        let arguments = ["--secret-file", &file];
        let ended = Tail::of(&server, &[&to(url)[..], &arguments].concat()).end();
        assert_eq!(ended.code, Some(2), "{secret}: {ended:?}");
        assert!(
            ended.reports[0].contains("not a signing secret"),
            "{ended:?}"
        );
        let shown = ended.reports.join("\n").replace(&file, "");
        assert!(!shown.contains("hid"), "{ended:?}");
        let environment = [
            ("BOX_TAIL_WEBHOOK_SECRET", secret),
            ("BOX_ACCESS_TOKEN", TOKEN),
        ];
        let account = ["--api", server.origin()];
        let ended = Tail::start_with(&environment, &[&account[..], &to(url)].concat()).end();
        assert_eq!(ended.code, Some(2), "{secret}: {ended:?}");
        assert!(
            ended.reports[0].contains("BOX_TAIL_WEBHOOK_SECRET"),
            "{ended:?}"
        );
        assert!(!format!("{ended:?}").contains("hid"), "{ended:?}");
    }
    for url in [
        "ftp://ada:hidden@h/",
        "hidden",
        "http://ada:hidden@",
        "http://a b/hidden",
    ] {
        let ended = Tail::of(&server, &to(url)).end();
        assert_eq!(ended.code, Some(2), "{url}: {ended:?}");
        assert!(ended.reports[0].contains("--to"), "{ended:?}");
        assert!(!format!("{ended:?}").contains("hidden"), "{ended:?}");
    }
    assert!(receiver.requests().is_empty());
}

#[test]
fn arguments_that_do_not_fit_the_place_are_refused() {
    for arguments in [
        &["--on-error", "retry"][..],
        &["--on-error", "hope", "--to", "http://localhost/"],
        &["--on-error", "dead-letter:", "--to", "http://localhost/"],
        &["--webhook-batch", "2", "--exec", "true"],
        &["--webhook-batch", "0", "--to", "http://localhost/"],
        &["--to", "http://localhost/", "--exec", "true"],
        &["--format", "{event_id}", "--to", "http://localhost/"],
        &["--delivery-timeout", "0s", "--to", "http://localhost/"],
        &["--delivery-timeout", "soon", "--to", "http://localhost/"],
    ] {
        let ended = Tail::start(arguments).end_without_events();
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
    }
}

#[cfg(unix)]
#[rstest]
#[case::interrupt("INT", 130)]
#[case::terminate("TERM", 0)]
fn signal_ends_the_wait_for_a_receiver(#[case] signal: &str, #[case] code: i32) {
    let server = EmulatorServer::start();
    server.append(TOKEN, 2);
    let receiver = Receiver::start();
    // The second attempt would be after an hour.
    receiver.script([Status(200), Later(503, "7200")]);
    let from = ["--from", "oldest", "--to", receiver.url()];
    let mut tail = Tail::of(&server, &from);
    tail.wait_for_report(|line| line.contains("503"));
    tail.signal(signal);
    let ended = tail.end();
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert_eq!(ended.reports.last().unwrap(), "resume with --from oldest");
    let line = ended
        .reports
        .iter()
        .find(|line| line.contains("503"))
        .unwrap();
    let (_, time) = line.split_once("; next try at ").unwrap();
    let wait = time.parse::<jiff::Timestamp>().unwrap().as_second() - server.unix();
    assert!((1800..=3600).contains(&wait), "{wait} s");
}

#[cfg(unix)]
#[test]
fn signal_ends_a_request_without_a_response() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 1);
    let receiver = Receiver::start();
    receiver.script([Silence]);
    let tail = Tail::of(&server, &["--from", "oldest", "--to", receiver.url()]);
    receiver.wait_for(1);
    let ended = tail.interrupt();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let next = ["--from", "oldest", "--count", "1", "--to", receiver.url()];
    assert_eq!(Tail::of(&server, &next).end().code, Some(0));
    let requests = receiver.wait_for(2);
    assert_eq!(requests[0].id(), requests[1].id());
}

/// A receiver that fails now and then, and a checkpoint.
struct Hook {
    receiver: Receiver,
    directory: TempDir,
}

impl KillableSink for Hook {
    fn arguments(&self) -> Vec<String> {
        let checkpoint = self.directory.path().join("checkpoint");
        let checkpoint = checkpoint.to_str().unwrap();
        let arguments = ["--to", self.receiver.url(), "--checkpoint", checkpoint];
        arguments.map(str::to_owned).to_vec()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn ids(&mut self) -> Vec<String> {
        ids(&self.receiver.acknowledged())
    }
}

#[test]
fn killed_program_loses_no_webhook() {
    let receiver = Receiver::start();
    let ok = || std::iter::repeat_n(Status(200), 400);
    let failures = [Status(503), Close, Status(404), Later(429, "1")];
    for failure in failures.into_iter().cycle().take(20) {
        receiver.script(ok().chain([failure]));
    }
    let directory = tempfile::tempdir().unwrap();
    let hook = Hook {
        receiver,
        directory,
    };
    survives_kills(hook, kills(), events());
}
