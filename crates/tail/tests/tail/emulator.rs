//! Tests of the command `emulator`: the fake Box as a server.

use crate::program::{TOKEN, Tail};

#[test]
fn emulator_serves_another_program() {
    let mut emulator = Tail::start(&["emulator", "--port", "0", "--rate", "100"]);
    let line = emulator.read_event();
    let origin = line.strip_prefix("listening on ").unwrap().to_owned();
    let environment = [("BOX_ACCESS_TOKEN", TOKEN)];
    let ended = Tail::start_with(&environment, &["--api", &origin, "--count", "5"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.events.len(), 5);
}

#[test]
fn emulator_refuses_a_setting_that_is_not_possible() {
    for arguments in [
        &["emulator", "--settings", r#"{"no_such_setting":1}"#][..],
        &["emulator", "--rate", "-1"],
        &["emulator", "--application", "incomplete"],
    ] {
        let ended = Tail::start(arguments).end_without_events();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.reports[0].starts_with("error: "), "{ended:?}");
    }
}

#[test]
fn past_of_an_enterprise_is_read_while_live_events_arrive() {
    let past = format!("{TOKEN}:2000");
    let arguments = [
        "emulator",
        "--port",
        "0",
        "--rate",
        "20",
        "--past-events",
        &past,
    ];
    let mut emulator = Tail::start(&arguments);
    let line = emulator.read_event();
    let origin = line.strip_prefix("listening on ").unwrap().to_owned();
    let environment = [("BOX_ACCESS_TOKEN", TOKEN)];
    let arguments = [
        "--api",
        &origin,
        "--enterprise",
        "--since",
        "300d",
        "--until",
        "20d",
    ];
    let ended = Tail::start_with(&environment, &arguments).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.events.len() > 1000, "{}", ended.events.len());
}
