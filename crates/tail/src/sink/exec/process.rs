//! [`Process`]: a running command, which ends with this value.

use std::io;
use std::process::ExitStatus;

use tokio::process::{Child, Command};

/// A running command. Dropping this kills it. On Unix, it also kills the processes that the command
/// has started, so that a shell leaves none of them behind.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        command.kill_on_drop(true).spawn().map(Self)
    }

    /// Waits for the end of the command. Processes that it leaves behind then stay.
    ///
    /// # Cancellation
    ///
    /// You can call this again after you have dropped the future.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.0.wait().await
    }
}

/// Returns a command that the shell runs in a process group of its own.
#[cfg(unix)]
pub(super) fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).process_group(0);
    shell
}

/// Returns a command that the shell runs.
#[cfg(windows)]
pub(super) fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.arg("/C").raw_arg(command);
    shell
}

#[cfg(unix)]
impl Drop for Process {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process_group};

        // A child without an id has ended, and another process may have its id by now.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            // This fails if the group has just ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
