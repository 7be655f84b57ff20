//! The example `resume`, as a program.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use box_longpoll_testkit::EmulatorServer;

use crate::fake_box::{PATIENCE, TOKEN};

/// The program, running. It is killed when this is dropped.
pub(crate) struct Life {
    child: Child,
    lines: Receiver<String>,
    pub(crate) read: Vec<String>,
}

impl Life {
    pub(crate) fn start(server: &EmulatorServer, file: &Path) -> Self {
        let mut child = Command::new(&*PROGRAM)
            .arg(file)
            .env("BOX_ACCESS_TOKEN", TOKEN)
            .env("BOX_API", server.origin())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let pipe = child.stdout.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = String::new();
            // A line without its end was never written.
            while pipe.read_line(&mut line).is_ok() && line.ends_with('\n') {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            lines,
            read: Vec::new(),
        }
    }

    /// Reads one more line.
    #[track_caller]
    pub(crate) fn read_line(&mut self) {
        let line = self.lines.recv_timeout(PATIENCE);
        self.read.push(line.expect("the program goes on"));
    }

    /// SIGKILL. Gives the ids of all that was written.
    #[track_caller]
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("it can be killed");
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.read.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("its output does not end"),
            }
        }
        self.read.iter().map(|line| id(line)).collect()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // It fails where the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn id(line: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(line).expect("a line is an event");
    event["event_id"].as_str().expect("it has an id").into()
}

/// `cargo test` builds the examples beside the tests. `cargo test --test checkpoints` alone does not, so that is done here.
pub(crate) static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().expect("a test is a file");
    let profile = test.ancestors().nth(2).expect("it lies in PROFILE/deps");
    let program = profile
        .join("examples/resume")
        .with_extension(std::env::consts::EXE_EXTENSION);
    if !is_up_to_date(&program) {
        build(profile);
    }
    program
});

/// Whether the program is newer than what it was made of, which Cargo notes in a file beside it.
fn is_up_to_date(program: &Path) -> bool {
    let changed = |file: &Path| fs::metadata(file).and_then(|file| file.modified()).ok();
    let made = changed(program);
    let sources = fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let mut sources = sources.split_whitespace().skip(1).map(Path::new);
    made.is_some() && sources.all(|source| changed(source).is_some_and(|at| Some(at) <= made))
}

fn build(profile: &Path) {
    let target = profile.parent().expect("profiles lie in the target folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--example", "resume", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.status().is_ok_and(|status| status.success());
    assert!(built, "run `cargo build --example resume` first");
}
