//! Tests of the log on standard error.

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};
use serde_json::Value;

use crate::program::{TOKEN, Tail};

/// Runs the program until it has recovered from a failure, and returns standard error.
fn reports(arguments: &[&str]) -> Vec<String> {
    let server = EmulatorServer::start();
    server.queue_fault(Endpoint::Events, Fault::Reset, 2);
    let mut tail = Tail::of(&server, arguments);
    tail.wait_for_report(|line| line == "listening");
    tail.kill().reports
}

#[test]
fn log_has_the_level_that_was_chosen() {
    let is_logged = |line: &String| line.contains(" box_longpoll");
    assert!(!reports(&[]).iter().any(is_logged));
    let warnings = reports(&["--log", "warn"]);
    let mut logged = warnings.iter().filter(|line| is_logged(line)).peekable();
    assert!(logged.peek().is_some(), "{warnings:?}");
    assert!(logged.all(|line| line.contains(" WARN ")), "{warnings:?}");
    let details = reports(&["--log", "trace"]);
    assert!(
        details.iter().any(|line| line.contains("TRACE")),
        "{details:?}"
    );
    assert!(!details.concat().contains(TOKEN), "{details:?}");
}

#[test]
fn log_can_be_json_lines() {
    let lines = reports(&["--log", "box_longpoll=debug", "--log-format", "json"]);
    let json = lines.iter().filter(|line| line.starts_with('{'));
    let logged: Vec<Value> = json
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let warning = logged.iter().find(|line| line["level"] == "WARN");
    let warning = warning.expect("the failure is logged");
    let target = warning["target"].as_str().unwrap();
    assert!(target.starts_with("box_longpoll"), "{warning}");
}

#[test]
fn malformed_filter_is_refused() {
    for filter in ["verbose", "box_longpoll=loud"] {
        let ended = Tail::start(&["--log", filter]).end_without_events();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.reports[0].contains("--log"), "{ended:?}");
    }
}
