//! Tests of the signals that end the program.

#[cfg(target_os = "linux")]
use std::ffi::OsStr;
use std::fs;

use box_longpoll_testkit::{Application, EmulatorServer, Endpoint, Fault, Settings};
use rstest::rstest;

use crate::program::{PATIENCE, TOKEN, Tail};
use crate::receiver::Receiver;

#[test]
fn termination_is_a_success_that_says_where_to_resume() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    let mut tail = Tail::of(&server, &["--from", "oldest"]);
    tail.read_events(3);
    tail.wait_for_report(|line| line == "listening");
    tail.signal("TERM");
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let newest = server.emulator().newest_position(TOKEN);
    let [.., complete, resume] = &ended.reports[..] else {
        panic!("{ended:?}")
    };
    assert!(complete.starts_with("complete until 20"), "{ended:?}");
    assert_eq!(*resume, format!("resume with --from {newest}"));
}

#[test]
fn termination_ends_a_program_whose_output_is_unread() {
    let server = EmulatorServer::start();
    let from = server.emulator().newest_position(TOKEN);
    server.append(TOKEN, 500);
    let tail = Tail::unread(&server, &["--json", "--from", &from]);
    assert!(
        server.wait_until(PATIENCE, |emulator| emulator.counters().events_served
            == 500)
    );
    tail.signal("TERM");
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert_eq!(*last, format!("resume with --from {from}"));
}

#[test]
fn termination_ends_a_retry_of_the_output() {
    let server = EmulatorServer::start();
    let from = server.emulator().newest_position(TOKEN);
    server.append(TOKEN, 1);
    let url = format!("http://{}", Receiver::free_address());
    let mut tail = Tail::of(&server, &["--from", &from, "--to", &url]);
    tail.wait_for_report(|line| line.starts_with("retrying the output: "));
    tail.signal("TERM");
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert_eq!(*last, format!("resume with --from {from}"));
}

#[test]
fn termination_ends_a_program_that_writes_a_file() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("events.jsonl");
    let to = format!("jsonl:{}", file.display());
    let mut tail = Tail::of(&server, &["--from", "oldest", "--to", &to]);
    tail.wait_for_report(|line| line == "listening");
    tail.signal("TERM");
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let newest = server.emulator().newest_position(TOKEN);
    let last = ended.reports.last().unwrap();
    assert_eq!(*last, format!("resume with --from {newest}"));
    assert_eq!(fs::read_to_string(file).unwrap().lines().count(), 3);
}

#[rstest]
#[case::terminated_twice("TERM")]
#[case::interrupted("INT")]
fn second_signal_ends_the_wait_for_a_token(#[case] second: &str) {
    let server = EmulatorServer::start_with(Settings {
        issued_tokens_only: true,
        ..Settings::default()
    });
    server.register(Application::new("app", "secret", "801234"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ada");
    let token = server.grant_refresh_token("app", "17");
    fs::write(&file, format!(r#"{{"refresh_token": "{token}"}}"#)).unwrap();
    server.queue_fault(Endpoint::Token, Fault::Silence, 1);
    let account = ["--api", server.origin(), "--client-id", "app"];
    let grant = ["--oauth-file", file.to_str().unwrap()];
    let environment = [("BOX_CLIENT_SECRET", "secret")];
    let mut tail = Tail::start_with(&environment, &[&account[..], &grant].concat());
    assert!(server.wait_until(PATIENCE, |emulator| emulator.counters().token.requests > 0));
    tail.signal("TERM");
    tail.wait_for_report(|line| line.contains("refresh token is being exchanged"));
    tail.signal(second);
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// The test may run under `nohup`, which lets all its programs ignore the signal.
#[cfg(target_os = "linux")]
#[test]
fn hangup_ends_a_program_without_files() {
    let server = EmulatorServer::start();
    let runner = ["env", "--default-signal=HUP"].map(OsStr::new);
    let mut tail = Tail::run_by(&runner, &server, &[]);
    tail.wait_for_report(|line| line == "listening");
    tail.signal("HUP");
    let ended = tail.end();
    assert_eq!(ended.code, None, "a closed terminal ends it: {ended:?}");
}

#[test]
fn kept_position_is_resumed_with_the_same_command() {
    let server = EmulatorServer::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("events.checkpoint");
    let database = format!("sqlite:{}", directory.path().join("events.db").display());
    for keeps in [
        ["--checkpoint", file.to_str().unwrap()],
        ["--to", &database],
    ] {
        let mut tail = Tail::of(&server, &keeps);
        tail.wait_for_report(|line| line == "listening");
        tail.signal("TERM");
        let ended = tail.end();
        assert_eq!(
            ended.reports.last().unwrap(),
            "resume with the same command"
        );
    }
}
