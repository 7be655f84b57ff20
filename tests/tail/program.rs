//! Running the program, and what it writes.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use box_longpoll_testkit::EmulatorServer;
use serde_json::Value;

/// The token, and so the account at the emulator.
pub(crate) const TOKEN: &str = "a-token-that-nobody-may-see";

/// No line takes longer on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The HTTP libraries that are compiled in, as the program names them.
pub(crate) const BACKENDS: &[&str] = &[
    #[cfg(feature = "reqwest")]
    "reqwest",
    #[cfg(feature = "surf")]
    "surf",
    #[cfg(feature = "isahc")]
    "isahc",
];

/// The arguments that choose between the clients that are compiled in.
pub(crate) const CLIENTS: &[&[&str]] = &[
    &[],
    #[cfg(feature = "blocking")]
    &["--blocking"],
];

/// The program, running. It is killed when this is dropped.
pub(crate) struct Tail {
    pub(crate) child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// The program's end, and all that it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None`: ended by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) events: Vec<String>,
    /// What came on standard error.
    pub(crate) reports: Vec<String>,
}

impl Tail {
    /// Without a token in its environment.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut tail = Self::spawn(arguments);
        tail.stdout = Lines::of(tail.child.stdout.take());
        tail
    }

    /// Against an emulator.
    pub(crate) fn of(server: &EmulatorServer, arguments: &[&str]) -> Self {
        let account = ["--api", server.origin(), "--token", TOKEN];
        Self::start(&[&account, arguments].concat())
    }

    /// Against an emulator, with nobody who reads its output.
    pub(crate) fn unread(server: &EmulatorServer, arguments: &[&str]) -> Self {
        let account = ["--api", server.origin(), "--token", TOKEN];
        Self::spawn(&[&account, arguments].concat())
    }

    fn spawn(arguments: &[&str]) -> Self {
        let mut child = Command::new(&*PROGRAM)
            .args(arguments)
            .env_remove("BOX_ACCESS_TOKEN")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Self {
            stderr: Lines::of(child.stderr.take()),
            stdout: Lines::of(None::<&[u8]>),
            child,
        }
    }

    /// Waits for so many more events.
    #[track_caller]
    pub(crate) fn read_events(&mut self, count: usize) {
        for _ in 0..count {
            assert!(self.stdout.read().is_some(), "{:?}", self.stderr.rest());
        }
    }

    /// Waits for a line on standard error.
    #[track_caller]
    pub(crate) fn wait_for_report(&mut self, is_it: impl Fn(&str) -> bool) {
        while let Some(line) = self.stderr.read() {
            if is_it(line) {
                return;
            }
        }
        panic!("it never came: {:?}", self.stderr.seen);
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let events = self.stdout.rest();
        let reports = self.stderr.rest();
        let code = self.child.wait().expect("it has ended").code();
        Ended {
            code,
            events,
            reports,
        }
    }

    /// SIGKILL.
    #[track_caller]
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().expect("it can be killed");
        self.end()
    }

    /// SIGINT, which the standard library can't send.
    #[cfg(unix)]
    #[track_caller]
    pub(crate) fn interrupt(self) -> Ended {
        let kill = format!("kill -INT {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("there is a shell").success());
        self.end()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // It fails where the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// What the last position line says.
    pub(crate) fn position(&self) -> Option<&str> {
        let mut lines = self.reports.iter().rev();
        lines.find_map(|line| line.strip_prefix("position "))
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.events.iter().map(|line| id(line)).collect()
    }
}

#[track_caller]
fn id(line: &str) -> String {
    let event: Value = serde_json::from_str(line).expect("a line is an event");
    event["event_id"].as_str().expect("it has an id").into()
}

/// Whole lines that the program writes, read as they come.
struct Lines {
    coming: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let (sender, coming) = mpsc::channel();
        thread::spawn(move || {
            let Some(pipe) = pipe else { return };
            let mut pipe = BufReader::new(pipe);
            let mut line = String::new();
            while pipe.read_line(&mut line).is_ok() && line.ends_with('\n') {
                line.pop();
                if sender.send(std::mem::take(&mut line)).is_err() {
                    break;
                }
            }
        });
        Self {
            coming,
            seen: Vec::new(),
        }
    }

    /// The next one; `None` at the end.
    #[track_caller]
    fn read(&mut self) -> Option<&str> {
        match self.coming.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.seen.push(line);
                self.seen.last().map(String::as_str)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing came after {:?}", self.seen),
        }
    }

    /// All there were, once there are no more.
    #[track_caller]
    fn rest(&mut self) -> Vec<String> {
        while self.read().is_some() {}
        std::mem::take(&mut self.seen)
    }
}

/// `cargo test` builds the examples beside the tests. `cargo test --test tail` alone does not, so that is done here.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().expect("a test is a file");
    let profile = test.ancestors().nth(2).expect("it lies in PROFILE/deps");
    let program = profile
        .join("examples/tail")
        .with_extension(std::env::consts::EXE_EXTENSION);
    if !is_up_to_date(&program) || !has_what_this_test_has(&program) {
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

/// Whether the program was built with the features that this test was built with.
fn has_what_this_test_has(program: &Path) -> bool {
    let mut names = BACKENDS.iter().chain(CLIENTS.iter().copied().flatten());
    let help = Command::new(program).arg("--help").output();
    help.is_ok_and(|help| {
        let help = String::from_utf8_lossy(&help.stdout);
        names.all(|name| help.contains(name))
    })
}

fn build(profile: &Path) {
    let target = profile.parent().expect("profiles lie in the target folder");
    let mut features = BACKENDS.to_vec();
    if CLIENTS.len() > 1 {
        features.push("blocking");
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--example", "tail", "--no-default-features"])
        .args(["--features", &features.join(",")])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.status().is_ok_and(|status| status.success());
    assert!(built, "the program can't be built");
}
