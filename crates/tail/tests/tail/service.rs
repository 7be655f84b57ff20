//! Tests of the program as a service of a service manager such as systemd.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};
use tempfile::TempDir;

use crate::program::{PATIENCE, TOKEN, Tail};
use crate::receiver::{Reaction, Receiver};

/// The time of the watchdog. The program reports progress three times in it.
const WATCHDOG: Duration = Duration::from_millis(900);

/// More messages than the program sends in a minute.
const MESSAGES: usize = 250;

/// The socket of a service manager.
struct Manager {
    directory: TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        Self { directory, socket }
    }

    fn environment(&self) -> [(&'static str, String); 3] {
        let socket = self.directory.path().join("notify");
        [
            ("NOTIFY_SOCKET", socket.to_str().unwrap().to_owned()),
            ("WATCHDOG_USEC", WATCHDOG.as_micros().to_string()),
            ("BOX_ACCESS_TOKEN", TOKEN.to_owned()),
        ]
    }

    fn start(&self, server: &EmulatorServer, arguments: &[&str]) -> Tail {
        let arguments = [&["--api", server.origin()], arguments].concat();
        Tail::start_with(&self.environment(), &arguments)
    }

    /// Waits for the next message.
    #[track_caller]
    fn message(&self) -> String {
        self.message_within(PATIENCE).expect("a message")
    }

    /// Returns the next message, or `None` if there is none within this time.
    fn message_within(&self, time: Duration) -> Option<String> {
        let mut buffer = [0; 4096];
        self.socket.set_read_timeout(Some(time)).unwrap();
        match self.socket.recv(&mut buffer) {
            Ok(size) => Some(String::from_utf8(buffer[..size].to_vec()).unwrap()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits for a message with this line, and returns all messages before it.
    #[track_caller]
    fn wait_for(&self, line: &str) -> Vec<String> {
        self.wait_until(|message| message.lines().any(|it| it == line))
    }

    /// Waits for a message, and returns all messages before it.
    #[track_caller]
    fn wait_until(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let message = self.message();
            if is_wanted(&message) {
                return before;
            }
            before.push(message);
            assert!(before.len() < MESSAGES, "it never came: {before:?}");
        }
    }
}

#[test]
fn service_is_ready_alive_and_stopping() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 2);
    let manager = Manager::new();
    let mut tail = manager.start(&server, &["--from", "oldest"]);
    manager.wait_for("READY=1");
    manager.wait_for("STATUS=listening");
    tail.read_events(2);
    // The stream is idle, and holds its poll.
    for _ in 0..5 {
        manager.wait_for("WATCHDOG=1");
    }
    tail.signal("TERM");
    manager.wait_for("STOPPING=1");
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert!(last.starts_with("resume with --from "), "{last}");
}

#[test]
fn service_for_an_enterprise_is_ready_and_alive() {
    let server = EmulatorServer::start();
    let manager = Manager::new();
    let tail = manager.start(&server, &["--enterprise"]);
    manager.wait_for("READY=1");
    for _ in 0..5 {
        manager.wait_for("WATCHDOG=1");
    }
    drop(tail);
}

#[test]
fn service_that_cannot_connect_is_alive_and_not_ready() {
    let server = EmulatorServer::start();
    server.queue_fault(Endpoint::Events, Fault::Reset, u32::MAX);
    let manager = Manager::new();
    let tail = manager.start(&server, &[]);
    let time = format!("EXTEND_TIMEOUT_USEC={}", WATCHDOG.as_micros());
    let mut messages = Vec::new();
    for _ in 0..5 {
        messages.extend(manager.wait_for(&time));
    }
    let ended = tail.kill();
    assert!(ended.reports[0].starts_with("retrying: "), "{ended:?}");
    let messages = messages.concat();
    assert!(messages.contains("STATUS=retrying: "), "{messages}");
    assert!(!messages.contains("READY=1"), "{messages}");
    assert!(!messages.contains("WATCHDOG=1"), "{messages}");
}

#[test]
fn service_that_loses_the_network_stays_alive() {
    let server = EmulatorServer::start();
    let manager = Manager::new();
    let tail = manager.start(&server, &[]);
    manager.wait_for("READY=1");
    assert!(server.wait_until(PATIENCE, |emulator| emulator.counters().open_polls == 1));
    for endpoint in [Endpoint::Events, Endpoint::Options, Endpoint::Realtime] {
        server.queue_fault(endpoint, Fault::Reset, u32::MAX);
    }
    assert_eq!(server.interrupt_polls(&Fault::Reset), 1);
    manager.wait_until(|message| message.starts_with("STATUS=retrying: "));
    for _ in 0..5 {
        manager.wait_for("WATCHDOG=1");
    }
    drop(tail);
}

#[test]
fn service_with_a_stuck_output_is_not_alive() {
    let server = EmulatorServer::start();
    let manager = Manager::new();
    let from = server.emulator().newest_position(TOKEN);
    // These events are more than a pipe holds, and nobody reads them.
    server.append(TOKEN, 500);
    let arguments = ["--json", "--from", &from];
    let tail = Tail::unread_with(&manager.environment(), &server, &arguments);
    // The program is silent once the page has taken longer than the watchdog's time.
    let silence = WATCHDOG * 3;
    let count = (0..MESSAGES)
        .take_while(|_| manager.message_within(silence).is_some())
        .count();
    assert!(count < MESSAGES, "the program pretends to make progress");
    drop(tail);
}

#[test]
fn service_that_retries_its_output_is_alive() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 1);
    let manager = Manager::new();
    let url = format!("http://{}", Receiver::free_address());
    let to = ["--to", &url, "--delivery-timeout", "100ms"];
    let tail = manager.start(&server, &[&to[..], &["--from", "oldest"]].concat());
    manager.wait_for("READY=1");
    manager.wait_until(|message| message.starts_with("STATUS=retrying the output: "));
    // Without a retry, a page may take four of these messages.
    for _ in 0..12 {
        manager.wait_for("WATCHDOG=1");
    }
    let ended = tail.kill();
    let is_retry = |line: &String| line.starts_with("retrying the output: ");
    assert!(ended.reports.iter().any(is_retry), "{ended:?}");
}

#[test]
fn service_with_a_slow_receiver_is_alive() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 1);
    let manager = Manager::new();
    let receiver = Receiver::start();
    receiver.script([Reaction::Silence]);
    let to = ["--to", receiver.url(), "--delivery-timeout", "1h"];
    let tail = manager.start(&server, &[&to[..], &["--from", "oldest"]].concat());
    // The request takes longer than the watchdog's time, and less than its own.
    for _ in 0..12 {
        manager.wait_for("WATCHDOG=1");
    }
    drop(tail);
}

#[test]
fn service_reloads_when_it_has_to_open_its_files_again() {
    let server = EmulatorServer::start();
    let manager = Manager::new();
    let tail = manager.start(&server, &[]);
    manager.wait_for("STATUS=listening");
    tail.signal("HUP");
    manager.wait_until(|message| {
        message.contains("RELOADING=1\n") && message.contains("MONOTONIC_USEC=")
    });
    manager.wait_for("READY=1");
    drop(tail);
}

#[test]
fn unit_file_names_existing_options_and_codes() {
    let unit = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging/box-tail.service");
    let unit = fs::read_to_string(unit).unwrap();
    let command = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let command = command.expect("the unit starts the program");
    let help = Tail::start(&["follow", "--help"]).end().events.join("\n");
    let options: Vec<_> = command
        .split(' ')
        .filter(|word| word.starts_with("--"))
        .collect();
    assert!(!options.is_empty(), "{command}");
    for option in options {
        assert!(help.contains(option), "{option}");
    }
    let codes = unit
        .lines()
        .find_map(|line| line.strip_prefix("RestartPreventExitStatus="));
    for code in codes.expect("some errors are permanent").split(' ') {
        assert!(help.contains(&format!("\n  {code} ")), "{code} in {help}");
    }
}
