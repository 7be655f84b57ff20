//! Runs the examples as programs. Proves that each of them reports a wrong environment or argument
//! in plain words.

mod exactly_once;
mod history;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use box_longpoll_testkit::EmulatorServer;

/// The access token, which is also the name of the account at the emulator.
const TOKEN: &str = "a-token-that-nobody-may-see";

/// The longest time until a program's next line or its end, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The features that this test was built with. If the examples are built with the same features,
/// Cargo doesn't build the library again.
const FEATURES: &[&str] = &[
    #[cfg(feature = "blocking")]
    "blocking",
    #[cfg(feature = "default")]
    "default",
    #[cfg(feature = "full")]
    "full",
    #[cfg(feature = "isahc")]
    "isahc",
    #[cfg(feature = "jwt")]
    "jwt",
    #[cfg(feature = "reqwest")]
    "reqwest",
    #[cfg(feature = "surf")]
    "surf",
];

/// The examples that take an access token from the environment, and their arguments.
const WITH_TOKEN: &[(&str, &[&str])] = &[
    #[cfg(feature = "blocking")]
    ("blocking", &[]),
    ("custom_transport", &[]),
    ("exactly_once", &["no-such-directory/file"]),
    ("history_then_live", &["no-such-directory/file"]),
    ("many_accounts", &["17"]),
    ("resume", &["no-such-directory/file"]),
    ("tail", &[]),
];

#[test]
fn tail_ends_after_the_count_when_there_is_no_token() {
    let ended = run("tail", &[], &["--count", "5"], 5);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.events.len(), 5, "{ended:?}");
    assert!(ended.reports[0].contains("fake Box"), "{ended:?}");
}

#[test]
fn tail_shows_the_demo_by_name_when_there_is_a_token() {
    let environment = [("BOX_ACCESS_TOKEN", OsStr::new(TOKEN))];
    let ended = run("tail", &environment, &["--demo", "--count", "1"], 1);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.events.len(), 1, "{ended:?}");
    assert!(ended.reports[0].contains("fake Box"), "{ended:?}");
}

#[test]
fn tail_refuses_a_count_that_is_no_number() {
    for arguments in [&["--count"][..], &["--count", "many"]] {
        assert_fails(&run("tail", &[], arguments, 0), &["--count"]);
    }
}

#[test]
fn example_names_the_variable_when_it_is_empty_or_no_token() {
    for (example, arguments) in WITH_TOKEN {
        for (token, words) in [
            ("", ["BOX_ACCESS_TOKEN", "empty"]),
            ("two words", ["BOX_ACCESS_TOKEN", "white space"]),
        ] {
            let environment = [("BOX_ACCESS_TOKEN", OsStr::new(token))];
            let ended = run(example, &environment, arguments, 0);
            assert_fails(&ended, &words);
            assert!(!format!("{ended:?}").contains("two words"), "{ended:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn example_names_the_variable_only_when_its_value_is_no_text() {
    use std::os::unix::ffi::OsStrExt as _;

    for (example, arguments) in WITH_TOKEN {
        let value = OsStr::from_bytes(b"a-secret-\xff");
        let ended = run(example, &[("BOX_ACCESS_TOKEN", value)], arguments, 0);
        assert_fails(&ended, &["BOX_ACCESS_TOKEN is not text"]);
        assert!(!format!("{ended:?}").contains("a-secret"), "{ended:?}");
    }
}

#[test]
fn service_account_names_the_variable_that_is_missing_or_empty() {
    let names = ["BOX_CLIENT_ID", "BOX_CLIENT_SECRET", "BOX_ENTERPRISE_ID"];
    for (index, name) in names.iter().enumerate() {
        let earlier = names[..index].iter();
        let mut environment: Vec<_> = earlier.map(|name| (*name, OsStr::new("1"))).collect();
        if index > 0 {
            let ended = run("service_account", &environment, &[], 0);
            assert_fails(&ended, &[name, "not set"]);
        }
        environment.push((name, OsStr::new("")));
        let ended = run("service_account", &environment, &[], 0);
        assert_fails(&ended, &[name, "empty"]);
    }
}

#[test]
fn resume_prints_an_error_and_its_causes_as_sentences() {
    let server = EmulatorServer::start();
    let start = |api: &str, file: &str| {
        let environment = [("BOX_ACCESS_TOKEN", TOKEN), ("BOX_API", api)];
        let environment = environment.map(|(name, value)| (name, OsStr::new(value)));
        run("resume", &environment, &[file], 0)
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

/// Checks that a program failed with a report that contains all words, and printed no event.
#[track_caller]
fn assert_fails(ended: &Ended, words: &[&str]) {
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    assert!(ended.events.is_empty(), "{ended:?}");
    let report = &ended.reports[0];
    assert!(report.starts_with("error: "), "{ended:?}");
    // Braces would come from the `Debug` form of an error.
    assert!(!report.contains(['{', '}']), "{report}");
    for word in words {
        assert!(report.contains(word), "{report}");
    }
}

/// The end of a program, and its output.
#[derive(Debug)]
struct Ended {
    /// The exit code, or `None` if a signal ended the program.
    code: Option<i32>,
    /// The lines on standard output.
    events: Vec<String>,
    /// The lines on standard error.
    reports: Vec<String>,
}

/// Runs an example to its end. Kills it if it writes more than `most` events, or nothing for too
/// long.
fn run(name: &str, environment: &[(&str, &OsStr)], arguments: &[&str], most: usize) -> Ended {
    let mut command = Command::new(executable(name));
    command.args(arguments);
    for variable in [
        "BOX_ACCESS_TOKEN",
        "BOX_API",
        "BOX_CLIENT_ID",
        "BOX_CLIENT_SECRET",
        "BOX_ENTERPRISE_ID",
    ] {
        command.env_remove(variable);
    }
    let mut child = command
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stdout = child.stdout.take().expect("it is a pipe");
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(stdout).lines();
        lines
            .map_while(Result::ok)
            .all(|line| sender.send(line).is_ok())
    });
    let mut events = Vec::new();
    let has_ended = loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => events.push(line),
            Err(error) => break error == mpsc::RecvTimeoutError::Disconnected,
        }
        if events.len() > most {
            break false;
        }
    };
    if !has_ended {
        child.kill().expect("it can be killed");
    }
    let output = child.wait_with_output().expect("it has ended");
    Ended {
        code: output.status.code(),
        events,
        reports: String::from_utf8_lossy(&output.stderr)
            .lines()
            .map(str::to_owned)
            .collect(),
    }
}

/// Returns an example's executable. `cargo test` builds the examples beside the tests. `cargo test
/// --test examples` alone does not, so this function does it.
fn executable(example: &str) -> PathBuf {
    static BUILDS: Mutex<()> = Mutex::new(());
    let test = std::env::current_exe().expect("a test is a file");
    let profile = test.ancestors().nth(2).expect("it lies in PROFILE/deps");
    let program = profile
        .join("examples")
        .join(example)
        .with_extension(std::env::consts::EXE_EXTENSION);
    // The first test builds the examples, and the others find them.
    let _builds = BUILDS.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_up_to_date(&program) {
        build_examples(profile);
    }
    program
}

/// Returns `true` if the program is newer than its sources, which Cargo notes in a file beside it.
fn is_up_to_date(program: &Path) -> bool {
    let changed = |file: &Path| fs::metadata(file).and_then(|file| file.modified()).ok();
    let made = changed(program);
    let sources = fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let mut sources = sources.split_whitespace().skip(1).map(Path::new);
    made.is_some() && sources.all(|source| changed(source).is_some_and(|at| Some(at) <= made))
}

fn build_examples(profile: &Path) {
    let target = profile.parent().expect("profiles lie in the target folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--examples", "--no-default-features"])
        .args(["--features", &FEATURES.join(",")])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // If this variable is set, Cargo builds rustls-ffi again, with all crates that depend on
        // it.
        .env_remove("CARGO_PKG_VERSION");
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.status().is_ok_and(|status| status.success());
    assert!(built, "the examples can't be built");
}
