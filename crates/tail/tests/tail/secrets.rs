//! Tests of secrets in files, in credentials of systemd, and on the command line.

use std::fs;
use std::path::Path;

use box_longpoll_testkit::{Application, EmulatorServer, Settings};

use crate::program::{Ended, TOKEN, Tail};

/// The user at the emulator, whose events any token may read.
const USER: &str = "17";

/// Runs the program for the three events of the user.
fn follow(server: &EmulatorServer, environment: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let common = ["--api", server.origin(), "--as-user", USER, "--json"];
    let all = ["--from", "oldest", "--count", "3"];
    Tail::start_with(environment, &[&common[..], &all, arguments].concat()).end()
}

fn server() -> EmulatorServer {
    let server = EmulatorServer::start();
    server.append(USER, 3);
    server
}

#[track_caller]
fn assert_followed(server: &EmulatorServer, ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.ids(), server.event_ids(USER));
    assert!(!format!("{ended:?}").contains(TOKEN), "{ended:?}");
}

#[test]
fn token_in_a_file_may_end_with_a_line_break() {
    let server = server();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let name = file.to_str().unwrap();
    for end in ["", "\n", "\r\n"] {
        fs::write(&file, format!("{TOKEN}{end}")).unwrap();
        let ended = follow(&server, &[], &["--token-file", name]);
        assert_followed(&server, &ended);
        assert!(!ended.reports[0].contains("warning"), "{ended:?}");
    }
    for (text, why) in [
        ("", "the file is empty"),
        ("\n", "the file is empty"),
        ("two words", "white space"),
        (&"x".repeat(65 * 1024), "too large"),
    ] {
        fs::write(&file, text).unwrap();
        let ended = follow(&server, &[], &["--token-file", name]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let error = &ended.reports[0];
        assert!(error.contains(name) && error.contains(why), "{error}");
        assert!(!format!("{ended:?}").contains("two words"), "{ended:?}");
    }
}

#[test]
fn client_secret_is_read_from_a_file() {
    let server = EmulatorServer::start_with(Settings {
        issued_tokens_only: true,
        ..Settings::default()
    });
    server.register(Application::new("app", TOKEN, "801234"));
    server.append(USER, 3);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("box-client-secret");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let application = ["--client-id", "app", "--subject", "enterprise:801234"];
    let by_file = ["--client-secret-file", file.to_str().unwrap()];
    let by_file = [&application[..], &by_file].concat();
    assert_followed(&server, &follow(&server, &[], &by_file));
    let credentials = [("CREDENTIALS_DIRECTORY", directory.path().to_str().unwrap())];
    assert_followed(&server, &follow(&server, &credentials, &application));
}

#[test]
fn credential_of_systemd_is_the_last_place_for_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let credentials = directory.path().to_str().unwrap();
    fs::write(directory.path().join("box-access-token"), "of-systemd\n").unwrap();
    fs::write(directory.path().join("box-client-secret"), "not needed\n").unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "of-file").unwrap();
    let configuration = directory.path().join("tail.toml");
    fs::write(&configuration, format!("token-file = {file:?}\n")).unwrap();
    let configuration = ["--config", configuration.to_str().unwrap()];
    let systemd = ("CREDENTIALS_DIRECTORY", credentials);
    let variable = ("BOX_ACCESS_TOKEN", "of-variable");
    let option = [&configuration[..], &["--token", "of-option"]].concat();
    for (environment, arguments, account) in [
        (&[systemd][..], &[][..], "of-systemd"),
        (&[systemd], &configuration, "of-file"),
        (&[systemd, variable], &configuration, "of-variable"),
        (&[systemd, variable], &option, "of-option"),
    ] {
        // The token is the name of the account at the emulator.
        let server = EmulatorServer::start();
        server.append(account, 1);
        let common = [
            "--api",
            server.origin(),
            "--json",
            "--from",
            "oldest",
            "--count",
            "1",
        ];
        let arguments = [&common[..], arguments].concat();
        let ended = Tail::start_with(environment, &arguments).end();
        assert_eq!(
            ended.ids(),
            server.event_ids(account),
            "{account}: {ended:?}"
        );
    }
}

#[test]
fn token_file_is_read_again_when_box_refuses_the_token() {
    let server = server();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    replace(&file, TOKEN);
    let arguments = ["--as-user", USER, "--json", "--from", "oldest"];
    let token = [
        "--api",
        server.origin(),
        "--token-file",
        file.to_str().unwrap(),
    ];
    let mut tail = Tail::start(&[&token[..], &arguments].concat());
    tail.read_events(3);
    tail.wait_for_report(|line| line == "listening");
    server.revoke(TOKEN);
    server.append(USER, 2);
    let name = file.to_str().unwrap();
    tail.wait_for_report(|line| {
        line.starts_with("retrying: ") && line.contains(name) && line.contains("put a new one")
    });
    replace(&file, "");
    tail.wait_for_report(|line| line.contains("the file is empty"));
    replace(&file, "the-next-token\n");
    tail.read_events(2);
    let ended = tail.kill();
    assert_eq!(ended.ids(), server.event_ids(USER));
    assert!(!format!("{ended:?}").contains(TOKEN), "{ended:?}");
}

/// Replaces a file as a program that renews tokens does.
fn replace(file: &Path, token: &str) {
    let new = file.with_extension("new");
    fs::write(&new, token).unwrap();
    fs::rename(&new, file).unwrap();
}

#[test]
fn secret_on_the_command_line_prints_a_warning() {
    let server = server();
    let ended = follow(&server, &[], &["--token", TOKEN]);
    assert_followed(&server, &ended);
    assert_eq!(
        ended.reports[0],
        "warning: other users of this machine can see the secret of --token: put it into a file \
         for --token-file, or into BOX_ACCESS_TOKEN"
    );
    let warnings = ended.reports.iter().filter(|line| line.contains("warning"));
    assert_eq!(warnings.count(), 1);
}
