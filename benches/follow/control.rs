//! The protocol between the harness and the processes that it starts: each order and each reply is
//! a line of JSON, over standard input and output.
//!
//! Start from [`Process`] in the harness, and from [`obey`] in a process.

use std::io::{BufRead as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Passes each order of the harness to `carry_out`, on a thread of its own.
///
/// The process exits when the harness exits, for whatever reason.
pub(crate) fn obey<T: DeserializeOwned>(mut carry_out: impl FnMut(T) + Send + 'static) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            carry_out(serde_json::from_str(&line).expect("the harness speaks JSON"));
        }
        std::process::exit(0);
    });
}

/// Sends a reply to the harness.
pub(crate) fn reply(message: &impl Serialize) {
    let mut line = serde_json::to_string(message).expect("a reply is JSON");
    line.push('\n');
    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
        // The harness has exited.
        std::process::exit(0);
    }
}

/// A process that the harness has started. Dropping it kills the process.
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    replies: Receiver<String>,
}

impl Process {
    /// Starts this program again, in another role.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("the path of this program is known");
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let orders = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, replies) = channel();
        std::thread::spawn(move || {
            let lines = std::io::BufReader::new(stdout).lines();
            for line in lines.map_while(Result::ok) {
                // The receiver is gone once the process is dropped.
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            orders,
            replies,
        }
    }

    /// Sends an order. If the process has ended, waiting for its reply fails.
    pub(crate) fn order(&mut self, order: &impl Serialize) {
        let mut line = serde_json::to_string(order).expect("an order is JSON");
        line.push('\n');
        let _ = self.orders.write_all(line.as_bytes());
    }

    /// Waits for the next reply. The error is the reason why there is none.
    pub(crate) fn reply<T: DeserializeOwned>(&mut self, at_most: Duration) -> Result<T, String> {
        match self.replies.recv_timeout(at_most) {
            Ok(line) => serde_json::from_str(&line).map_err(|error| format!("{error}: {line}")),
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("no reply within {} s", at_most.as_secs()))
            }
            Err(RecvTimeoutError::Disconnected) => Err("its process ended".into()),
        }
    }

    /// Waits while the process runs. A reply in that time is an error.
    pub(crate) fn expect_silence(&mut self, duration: Duration) -> Result<(), String> {
        match self.replies.recv_timeout(duration) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(line) => Err(format!("an unexpected reply: {line}")),
            Err(RecvTimeoutError::Disconnected) => Err("its process ended".into()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
