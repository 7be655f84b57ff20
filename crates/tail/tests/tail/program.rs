//! [`Tail`]: the program `box-tail` as a child process, and the lines that it writes.
//!
//! The tests wait for lines, and never for a time.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use box_longpoll_testkit::EmulatorServer;
use serde_json::Value;

/// The path of the program, built with the features of this test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_box-tail");

/// The names of the HTTP libraries that are compiled in.
pub(crate) const BACKENDS: &[&str] = &[
    #[cfg(feature = "reqwest")]
    "reqwest",
    #[cfg(feature = "surf")]
    "surf",
    #[cfg(feature = "isahc")]
    "isahc",
];

/// The arguments for each client that is compiled in.
pub(crate) const CLIENTS: &[&[&str]] = &[
    &[],
    #[cfg(feature = "blocking")]
    &["--blocking"],
];

/// The access token, which is also the account at the emulator.
pub(crate) const TOKEN: &str = "a-token-that-nobody-may-see";

/// The time limit for each line, long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The running program. Dropping this kills it.
pub(crate) struct Tail {
    pub(crate) child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// The program after its end, with everything that it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code. `None` if a signal ended the program.
    pub(crate) code: Option<i32>,
    /// The lines on standard output.
    pub(crate) events: Vec<String>,
    /// The lines on standard error.
    pub(crate) reports: Vec<String>,
}

impl Tail {
    /// Starts the program without a token in its environment.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with::<&str>(&[], arguments)
    }

    /// Starts the program with these variables in its environment.
    pub(crate) fn start_with<V: AsRef<OsStr>>(
        environment: &[(&str, V)],
        arguments: &[&str],
    ) -> Self {
        Self::start_unread(environment, arguments).read()
    }

    /// Starts the program with these variables in its environment. Its output is not read.
    pub(crate) fn start_unread<V: AsRef<OsStr>>(
        environment: &[(&str, V)],
        arguments: &[&str],
    ) -> Self {
        let mut command = command(&[], arguments);
        for (name, value) in environment {
            command.env(name, value);
        }
        Self::spawn(command)
    }

    /// Starts the program with an account of the emulator.
    pub(crate) fn of(server: &EmulatorServer, arguments: &[&str]) -> Self {
        Self::spawn(command_of(&[], server, arguments)).read()
    }

    /// Starts the program with an account of the emulator. Its output is not read.
    pub(crate) fn unread(server: &EmulatorServer, arguments: &[&str]) -> Self {
        Self::spawn(command_of(&[], server, arguments))
    }

    /// Starts the program with an account of the emulator and these variables in its environment. Its
    /// output is not read.
    #[cfg(target_os = "linux")]
    pub(crate) fn unread_with<V: AsRef<OsStr>>(
        environment: &[(&str, V)],
        server: &EmulatorServer,
        arguments: &[&str],
    ) -> Self {
        let mut command = command_of(&[], server, arguments);
        for (name, value) in environment {
            command.env(name, value);
        }
        Self::spawn(command)
    }

    /// Starts the program with an account of the emulator, through another program, whose command
    /// line ends with this one's.
    #[cfg(target_os = "linux")]
    pub(crate) fn run_by(runner: &[&OsStr], server: &EmulatorServer, arguments: &[&str]) -> Self {
        Self::spawn(command_of(runner, server, arguments)).read()
    }

    /// Starts the program through another program.
    #[cfg(target_os = "linux")]
    pub(crate) fn run(runner: &[&OsStr], arguments: &[&str]) -> Self {
        Self::spawn(command(runner, arguments)).read()
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command
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

    /// Begins to read the output.
    pub(crate) fn read(mut self) -> Self {
        self.stdout = Lines::of(self.child.stdout.take());
        self
    }

    /// Waits for `count` more events.
    #[track_caller]
    pub(crate) fn read_events(&mut self, count: usize) {
        for _ in 0..count {
            assert!(self.stdout.read().is_some(), "{:?}", self.stderr.rest());
        }
    }

    /// Waits for the next line on standard output, and returns it.
    #[track_caller]
    pub(crate) fn read_event(&mut self) -> &str {
        self.read_events(1);
        self.stdout.seen.last().expect("a line was read")
    }

    /// Waits for a line on standard output.
    #[track_caller]
    pub(crate) fn wait_for_event(&mut self, is_wanted: impl Fn(&str) -> bool) {
        while !self.stdout.seen.last().is_some_and(|line| is_wanted(line)) {
            self.read_events(1);
        }
    }

    /// Waits for a line on standard error.
    #[track_caller]
    pub(crate) fn wait_for_report(&mut self, is_wanted: impl Fn(&str) -> bool) {
        while let Some(line) = self.stderr.read() {
            if is_wanted(line) {
                return;
            }
        }
        panic!("the line never came: {:?}", self.stderr.seen);
    }

    /// Waits for the next line on standard error, and returns it.
    #[track_caller]
    pub(crate) fn read_report(&mut self) -> &str {
        self.stderr.read().expect("the program writes a line")
    }

    /// Waits until the program ends by itself.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let events = self.stdout.rest();
        let reports = self.stderr.rest();
        let code = self.child.wait().expect("the program has ended").code();
        Ended {
            code,
            events,
            reports,
        }
    }

    /// Waits until the program ends by itself, and asserts that it wrote no event.
    #[track_caller]
    pub(crate) fn end_without_events(mut self) -> Ended {
        let event = self.stdout.read();
        assert!(event.is_none(), "{event:?}");
        self.end()
    }

    /// Kills the program by SIGKILL.
    #[track_caller]
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().expect("the program can be killed");
        self.end()
    }

    /// Sends SIGINT, as Ctrl-C does, and waits until the program ends.
    #[cfg(unix)]
    #[track_caller]
    pub(crate) fn interrupt(self) -> Ended {
        self.signal("INT");
        self.end()
    }

    /// Sends a signal, by the shell, because the standard library can only send SIGKILL.
    #[cfg(unix)]
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("there is a shell").success());
    }
}

/// Returns the program's command line with an account of the emulator, after that of a runner if
/// there is one. The token is in the environment, because the program warns of one that is not.
fn command_of(runner: &[&OsStr], server: &EmulatorServer, arguments: &[&str]) -> Command {
    let account = ["--api", server.origin()];
    let mut command = command(runner, &[&account, arguments].concat());
    command.env("BOX_ACCESS_TOKEN", TOKEN);
    command
}

/// Returns the program's command line, after that of a runner if there is one. The program's
/// environment has no setting, even if the environment of the test has one.
fn command(runner: &[&OsStr], arguments: &[&str]) -> Command {
    let line = [runner, &[OsStr::new(PROGRAM)]].concat();
    let mut command = Command::new(line[0]);
    command
        .args(&line[1..])
        .args(arguments)
        .env_remove("CREDENTIALS_DIRECTORY")
        .env_remove("NOTIFY_SOCKET");
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("BOX_") {
            command.env_remove(name);
        }
    }
    command
}

impl Drop for Tail {
    fn drop(&mut self) {
        // This fails if the program has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Returns the position in the last line `position P`.
    pub(crate) fn position(&self) -> Option<&str> {
        let mut lines = self.reports.iter().rev();
        lines.find_map(|line| line.strip_prefix("position "))
    }

    /// Returns the ids of the events, which must be JSON.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.events.iter().map(|line| id(line)).collect()
    }
}

#[track_caller]
fn id(line: &str) -> String {
    let event: Value = serde_json::from_str(line).expect("a line is an event");
    event["event_id"].as_str().expect("it has an id").into()
}

/// The complete lines that the program writes to a pipe, read by a thread as they arrive.
struct Lines {
    incoming: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let (sender, incoming) = mpsc::channel();
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
            incoming,
            seen: Vec::new(),
        }
    }

    /// Waits for the next line. Returns `None` at the end of the pipe.
    #[track_caller]
    fn read(&mut self) -> Option<&str> {
        match self.incoming.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.seen.push(line);
                self.seen.last().map(String::as_str)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("no line came after {:?}", self.seen),
        }
    }

    /// Waits for the end of the pipe, and returns all lines.
    #[track_caller]
    fn rest(&mut self) -> Vec<String> {
        while self.read().is_some() {}
        std::mem::take(&mut self.seen)
    }
}
