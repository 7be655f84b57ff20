//! [`Terminal`]: a terminal on which a command runs, and the screen that its user sees.
//!
//! The program `script` of util-linux gives the command a real pseudo terminal, and an emulator of
//! a VT100 draws the screen.

use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::program::PATIENCE;

/// The number of lines of the screen.
const ROWS: NonZero<u16> = NonZero::new(24).unwrap();

/// A running command on a terminal. Dropping this kills the command.
pub(crate) struct Terminal {
    script: Child,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// All that the command has written.
    written: Vec<u8>,
}

/// The terminal after the end of its command.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) code: Option<i32>,
    /// The lines of the last screen, without those at its end that are empty.
    pub(crate) lines: Vec<String>,
    /// All that the command has written.
    pub(crate) written: String,
}

impl Terminal {
    /// Runs a shell command on a terminal with this number of columns.
    pub(crate) fn run(columns: u16, environment: &[(&str, &str)], command: &str) -> Self {
        let command = format!("stty rows {ROWS} cols {columns}; {command}");
        let columns = NonZero::new(columns).expect("a terminal has columns");
        let mut script = Command::new("script")
            .args([
                "--quiet",
                "--flush",
                "--return",
                "--command",
                &command,
                "/dev/null",
            ])
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .env_remove("BOX_ACCESS_TOKEN")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program `script` of util-linux runs");
        let mut pipe = script.stdout.take().expect("a pipe");
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            script,
            output,
            screen: vt100::Parser::new(ROWS, columns, 0),
            written: Vec::new(),
        }
    }

    /// Waits until a line of the screen is as wanted, and returns it.
    #[track_caller]
    pub(crate) fn wait_for_line(&mut self, is_wanted: impl Fn(&str) -> bool) -> String {
        loop {
            if let Some(line) = self.lines().into_iter().find(|line| is_wanted(line)) {
                return line;
            }
            assert!(self.read(), "the line never came: {:#?}", self.lines());
        }
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&mut self) {
        let keyboard = self.script.stdin.as_mut().expect("a pipe");
        keyboard.write_all(b"\x03").expect("the terminal reads");
        keyboard.flush().expect("the terminal reads");
    }

    /// Waits until the command ends by itself.
    #[track_caller]
    pub(crate) fn end(mut self) -> Left {
        while self.read() {}
        Left {
            code: self.script.wait().expect("the command has ended").code(),
            lines: self.lines(),
            written: String::from_utf8_lossy(&self.written).into_owned(),
        }
    }

    /// Returns the lines of the screen, without those at its end that are empty.
    fn lines(&self) -> Vec<String> {
        let contents = self.screen.screen().contents();
        let lines = contents.trim_end().lines();
        lines.map(|line| line.trim_end().to_owned()).collect()
    }

    /// Waits for output. Returns `false` at its end.
    #[track_caller]
    fn read(&mut self) -> bool {
        match self.output.recv_timeout(PATIENCE) {
            Ok(bytes) => {
                self.screen.process(&bytes);
                self.written.extend(bytes);
                true
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => false,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("no output: {:#?}", self.lines()),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // This fails if the command has already ended.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
