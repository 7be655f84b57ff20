//! All examples refuse an environment that is not right.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use box_longpoll_testkit::EmulatorServer;

use crate::executable::{PROGRAM, example};
use crate::program::{Ended, TOKEN, Tail};

/// The examples that take an access token from the environment.
fn examples() -> Vec<(PathBuf, &'static [&'static str])> {
    vec![
        (PROGRAM.clone(), &[]),
        (example("custom_transport", |_| true), &[]),
        #[cfg(feature = "reqwest")]
        (example("many_accounts", |_| true), &["17"]),
        #[cfg(feature = "reqwest")]
        (example("resume", |_| true), &["no-such-directory/file"]),
        #[cfg(all(feature = "blocking", feature = "reqwest"))]
        (example("blocking", |_| true), &[]),
    ]
}

#[track_caller]
fn run(program: &Path, environment: &[(&str, &OsStr)], arguments: &[&str]) -> Ended {
    Tail::start_program(program.as_os_str(), environment, arguments).end_without_events()
}

#[track_caller]
fn assert_fails(ended: &Ended, words: &[&str]) {
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    assert!(ended.events.is_empty(), "{ended:?}");
    let said = &ended.reports[0];
    assert!(said.starts_with("error: "), "{ended:?}");
    // What `Debug` shows of an error.
    assert!(!said.contains(['{', '}']), "{said}");
    for word in words {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn example_names_the_variable_when_it_is_empty_or_no_token() {
    for (program, arguments) in examples() {
        for (token, words) in [
            ("", ["BOX_ACCESS_TOKEN", "empty"]),
            ("two words", ["BOX_ACCESS_TOKEN", "white space"]),
        ] {
            let environment = [("BOX_ACCESS_TOKEN", OsStr::new(token))];
            let ended = run(&program, &environment, arguments);
            assert_fails(&ended, &words);
            assert!(!format!("{ended:?}").contains("two words"), "{ended:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn example_names_the_variable_and_not_its_value_when_it_is_no_text() {
    use std::os::unix::ffi::OsStrExt as _;

    for (program, arguments) in examples() {
        let value = OsStr::from_bytes(b"a-secret-\xff");
        let ended = run(&program, &[("BOX_ACCESS_TOKEN", value)], arguments);
        assert_fails(&ended, &["BOX_ACCESS_TOKEN is not text"]);
        assert!(!format!("{ended:?}").contains("a-secret"), "{ended:?}");
    }
}

#[cfg(feature = "reqwest")]
#[test]
fn service_account_names_the_variable_that_is_missing_or_empty() {
    let program = example("service_account", |_| true);
    let names = ["BOX_CLIENT_ID", "BOX_CLIENT_SECRET", "BOX_ENTERPRISE_ID"];
    for (index, name) in names.iter().enumerate() {
        let earlier = names[..index].iter();
        let mut environment: Vec<_> = earlier.map(|name| (*name, OsStr::new("1"))).collect();
        if index > 0 {
            let ended = run(&program, &environment, &[]);
            assert_fails(&ended, &[name, "not set"]);
        }
        environment.push((name, OsStr::new("")));
        let ended = run(&program, &environment, &[]);
        assert_fails(&ended, &[name, "empty"]);
    }
}

#[cfg(feature = "reqwest")]
#[test]
fn resume_prints_an_error_and_its_causes_as_sentences() {
    let program = example("resume", |_| true);
    let server = EmulatorServer::start();
    let start = |api: &str, file: &str| {
        let environment = [("BOX_ACCESS_TOKEN", TOKEN), ("BOX_API", api)];
        run(
            &program,
            &environment.map(|(name, value)| (name, OsStr::new(value))),
            &[file],
        )
    };
    let api = "http://box.example";
    assert_fails(
        &start(api, "no-such-directory/file"),
        &["BOX_API", api, "API origin"],
    );
    let ended = start(server.origin(), "no-such-directory/file");
    assert_fails(&ended, &["no-such-directory", "No such file"]);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("checkpoint");
    std::fs::write(&file, "not a checkpoint").unwrap();
    let ended = start(server.origin(), file.to_str().unwrap());
    assert_fails(
        &ended,
        &["the checkpoint can't be loaded", "not a checkpoint"],
    );
}
