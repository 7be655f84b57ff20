//! Running the program, and what it writes.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use box_longpoll_testkit::EmulatorServer;
use serde_json::Value;

/// The program, as it was built with the features of this test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_box-tail");

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

/// The token, and so the account at the emulator.
pub(crate) const TOKEN: &str = "a-token-that-nobody-may-see";

/// No line takes longer on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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
        Self::start_with::<&str>(&[], arguments)
    }

    /// With these variables in its environment.
    pub(crate) fn start_with<V: AsRef<OsStr>>(
        environment: &[(&str, V)],
        arguments: &[&str],
    ) -> Self {
        let mut command = command(&[], arguments);
        for (name, value) in environment {
            command.env(name, value);
        }
        Self::spawn(command).read()
    }

    /// Against an emulator.
    pub(crate) fn of(server: &EmulatorServer, arguments: &[&str]) -> Self {
        let account = ["--api", server.origin(), "--token", TOKEN];
        Self::start(&[&account, arguments].concat())
    }

    /// Against an emulator, with nobody who reads its output.
    pub(crate) fn unread(server: &EmulatorServer, arguments: &[&str]) -> Self {
        let account = ["--api", server.origin(), "--token", TOKEN];
        Self::spawn(command(&[], &[&account, arguments].concat()))
    }

    /// Against an emulator, run by another program, whose command line ends with this one's.
    #[cfg(target_os = "linux")]
    pub(crate) fn run_by(runner: &[&OsStr], server: &EmulatorServer, arguments: &[&str]) -> Self {
        let account = ["--api", server.origin(), "--token", TOKEN];
        Self::run(runner, &[&account, arguments].concat())
    }

    /// Run by another program.
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

    /// With a reader of its output, from now on.
    pub(crate) fn read(mut self) -> Self {
        self.stdout = Lines::of(self.child.stdout.take());
        self
    }

    /// Waits for so many more events.
    #[track_caller]
    pub(crate) fn read_events(&mut self, count: usize) {
        for _ in 0..count {
            assert!(self.stdout.read().is_some(), "{:?}", self.stderr.rest());
        }
    }

    /// Waits for an event.
    #[track_caller]
    pub(crate) fn wait_for_event(&mut self, is_it: impl Fn(&str) -> bool) {
        while !self.stdout.seen.last().is_some_and(|line| is_it(line)) {
            self.read_events(1);
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

    /// Waits until it ends by itself, which it has to do without an event.
    #[track_caller]
    pub(crate) fn end_without_events(mut self) -> Ended {
        let event = self.stdout.read();
        assert!(event.is_none(), "{event:?}");
        self.end()
    }

    /// SIGKILL.
    #[track_caller]
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().expect("it can be killed");
        self.end()
    }

    #[cfg(unix)]
    #[track_caller]
    pub(crate) fn interrupt(self) -> Ended {
        self.signal("INT");
        self.end()
    }

    /// A signal that the standard library can't send.
    #[cfg(unix)]
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("there is a shell").success());
    }
}

/// Returns the program's command line, behind that of a runner if there is one. The program's environment has no token, even
/// if that of the test has one.
fn command(runner: &[&OsStr], arguments: &[&str]) -> Command {
    let line = [runner, &[OsStr::new(PROGRAM)]].concat();
    let mut command = Command::new(line[0]);
    command
        .args(&line[1..])
        .args(arguments)
        .env_remove("BOX_ACCESS_TOKEN");
    command
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
