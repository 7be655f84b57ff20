//! Tests of the status line on a terminal.

use std::fs;

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};
use rstest::rstest;

use crate::enterprise::{days_ago, enterprise};
use crate::program::{PROGRAM, TOKEN};
use crate::terminal::Terminal;

/// Returns the program's command line, for an account of the emulator.
fn command(server: &EmulatorServer, arguments: &str) -> String {
    let api = server.origin();
    format!("BOX_ACCESS_TOKEN={TOKEN} {PROGRAM} --api {api} {arguments}")
}

#[rstest]
#[case::wide(80, "listening | last event ", " events/s | 5 events")]
#[case::narrow(40, "listening | last event ", " ago")]
#[case::tiny(9, "listen", "")]
fn status_line_is_live_and_leaves_no_trace(
    #[case] columns: u16,
    #[case] start: &str,
    #[case] end: &str,
) {
    let server = EmulatorServer::start();
    let event = |n| format!(r#"{{"event_id":"e{n}","created_at":"2026-01-02T03:04:05Z"}}"#);
    server.append_json(TOKEN, (0..3).map(event));
    let arguments = "--from oldest --format '{event_id}'";
    let mut terminal = Terminal::run(columns, &[], &command(&server, arguments));
    terminal.wait_for_line(|line| line.starts_with(start));
    server.append_json(TOKEN, (3..5).map(event));
    terminal.wait_for_line(|line| line == "e4");
    terminal.wait_for_line(|line| line.starts_with(start) && line.ends_with(end));
    terminal.interrupt();
    let left = terminal.end();
    assert_eq!(left.code, Some(130), "{left:?}");
    assert_eq!(left.lines[..5], ["e0", "e1", "e2", "e3", "e4"]);
    let rest = left.lines[5..].concat();
    assert!(rest.contains("complete until"), "{left:?}");
    assert!(rest.contains("resume with --from"), "{left:?}");
    assert!(!rest.contains("listen"), "{left:?}");
}

#[rstest]
#[case::wide(80, "[####")]
#[case::narrow(40, "[##")]
fn past_shows_a_bar_with_an_estimate(#[case] columns: u16, #[case] bar: &str) {
    let (server, past) = enterprise(5_000);
    server.change_settings(|settings| settings.latency_ms = 20);
    let since = days_ago(200);
    let arguments = format!("--enterprise --since {since} --count 5000 --format '{{event_id}}'");
    let mut terminal = Terminal::run(columns, &[], &command(&server, &arguments));
    let is_bar = |line: &str| line.starts_with(bar) && line.contains(".] ");
    let line = terminal.wait_for_line(|line| is_bar(line) && line.contains(" left"));
    assert!(line.contains(" % | "), "{line}");
    assert!(line.chars().count() < usize::from(columns), "{line}");
    let left = terminal.end();
    assert_eq!(left.code, Some(0), "{left:?}");
    let [lines @ .., position] = &left.lines[..] else {
        panic!("{left:?}")
    };
    assert!(position.starts_with("position "), "{position}");
    let newest = &past[past.len() - lines.len() + usize::from(columns < 60)..];
    let shown = lines.concat();
    assert!(newest.iter().all(|id| shown.contains(id)), "{left:?}");
    assert!(!shown.contains(" % "), "{left:?}");
}

#[test]
fn other_programs_can_write_events_to_the_same_terminal() {
    let (server, past) = enterprise(2_000);
    let since = days_ago(200);
    let directory = tempfile::tempdir().unwrap();
    // The other program may be interrupted in the middle of a line on the terminal.
    let copy = directory.path().join("events");
    let options = format!("--enterprise --since {since} --json --count 2000");
    let arguments = format!("{options} | tee {} >&2", copy.display());
    let left = Terminal::run(80, &[], &command(&server, &arguments)).end();
    let events = fs::read_to_string(copy).unwrap();
    for id in past {
        assert!(events.contains(&id), "{id}");
    }
    let last = left.lines.last().unwrap();
    assert!(!last.contains(" % "), "{left:?}");
}

#[test]
fn failure_is_a_line_above_the_status_line() {
    let server = EmulatorServer::start();
    let broken = Fault::Status {
        status: 502,
        headers: [].into(),
        body: String::new(),
    };
    server.queue_fault(Endpoint::Events, broken, 3);
    let mut terminal = Terminal::run(80, &[], &command(&server, ""));
    terminal.wait_for_line(|line| line.starts_with("retrying: ") && line.contains("502"));
    terminal.wait_for_line(|line| line.starts_with("listening | no event yet"));
    terminal.interrupt();
    let left = terminal.end();
    assert!(left.lines[0].starts_with("retrying: "), "{left:?}");
    assert!(
        !left.lines.iter().any(|line| line.contains(" | ")),
        "{left:?}"
    );
}

#[test]
fn nothing_is_left_after_the_reader_has_closed_the_pipe() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 2_000);
    let arguments = "--from oldest --format '{event_type}' | head -1; echo end";
    let left = Terminal::run(80, &[], &command(&server, arguments)).end();
    let [_, end] = &left.lines[..] else {
        panic!("{left:?}")
    };
    assert_eq!(end, "end");
}

#[test]
fn status_line_has_no_colors_with_no_color() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    let arguments = command(&server, "--from oldest");
    for (environment, is_colored) in [(&[("NO_COLOR", "1")][..], false), (&[], true)] {
        let mut terminal = Terminal::run(80, environment, &arguments);
        terminal.wait_for_line(|line| line.starts_with("listening | "));
        terminal.interrupt();
        let left = terminal.end();
        // Colors are for events.
        assert_eq!(left.written.contains("\x1b[1m"), is_colored, "{left:?}");
        let line = left
            .written
            .rsplit('\r')
            .find(|part| part.contains("listening"));
        assert!(!line.expect("the line").contains("\x1b[3"), "{left:?}");
    }
}

/// JSON permits these characters in a string as they are.
#[rstest]
#[case::json("json")]
#[case::ecs("ecs")]
#[case::ocsf("ocsf")]
fn json_on_a_terminal_has_its_controls_escaped(#[case] format: &str) {
    let server = EmulatorServer::start();
    let event = "{\"event_id\":\"1\",\"event_type\":\"LOGIN\",\
                 \"created_by\":{\"type\":\"user\",\"name\":\"a\u{9b}31m\u{7f}\u{85}z\"}}";
    server.append_json(TOKEN, [event]);
    let arguments = format!("--from oldest --count 1 --format {format}");
    let left = Terminal::run(80, &[], &command(&server, &arguments)).end();
    assert_eq!(left.code, Some(0), "{left:?}");
    assert!(
        left.written.contains(r"a\u009b31m\u007f\u0085z"),
        "{left:?}"
    );
    assert!(
        !left.written.contains(['\u{9b}', '\u{7f}', '\u{85}']),
        "{left:?}"
    );
}

#[test]
fn dumb_terminal_gets_lines() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    let arguments = command(&server, "--from oldest");
    let mut terminal = Terminal::run(80, &[("TERM", "dumb")], &arguments);
    terminal.wait_for_line(|line| line == "listening");
    terminal.interrupt();
    let left = terminal.end();
    assert!(!left.written.contains('\x1b'), "{left:?}");
    assert!(left.written.contains("\nposition "), "{left:?}");
}
