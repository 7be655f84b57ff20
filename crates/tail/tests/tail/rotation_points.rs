//! Tests in which the program is killed while it writes an intent: the note in the credential file
//! that its refresh token is being exchanged.

use std::fs;
use std::path::PathBuf;

use box_longpoll_testkit::{Application, EmulatorServer, Settings};
use rstest::rstest;
use tempfile::TempDir;

use crate::killer::{FREELY, Killer};
use crate::program::{Ended, Tail};

const ID: &str = "the-client-id";
const SECRET: &str = "the-client-secret";
const USER: &str = "12345678";

#[rstest]
#[case::before_a_leftover_is_removed("unlink", 1)]
#[case::before_the_new_file_is_created("openat", 1)]
#[case::the_new_file_is_empty("write", 1)]
#[case::the_new_file_is_written("fsync", 1)]
#[case::the_new_file_is_synced("close", 1)]
#[case::before_the_rename("rename", 1)]
#[case::after_the_rename("openat", 2)]
#[case::before_the_directory_is_synced("fsync", 2)]
#[case::the_directory_is_synced("close", 2)]
#[ignore = "needs strace and the right to trace: .ci/run has them"]
fn x01_kill_at_each_step_of_an_intent_keeps_the_refresh_token(
    #[case] call: &str,
    #[case] nth: usize,
) {
    let world = World::new();
    world.authorize();
    world.run_and_kill(call, nth);
    let ended = world.run_to_the_end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.ids(), world.server.event_ids(USER));
    assert_eq!(world.server.counters().token.requests, 1);
}

/// An emulator with an application and an account, and a directory for the credential file.
struct World {
    server: EmulatorServer,
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        let server = EmulatorServer::start_with(Settings {
            issued_tokens_only: true,
            ..Settings::default()
        });
        server.register(Application::new(ID, SECRET, "801234"));
        server.append(USER, 2);
        Self {
            server,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("credential")
    }

    /// Writes a new refresh token into the credential file.
    fn authorize(&self) {
        let token = self.server.grant_refresh_token(ID, USER);
        let credential = serde_json::json!({"refresh_token": token});
        fs::write(self.file(), credential.to_string()).unwrap();
    }

    fn arguments(&self) -> Vec<String> {
        let file = self.file();
        let arguments = [
            "--api",
            self.server.origin(),
            "--client-id",
            ID,
            "--client-secret",
            SECRET,
            "--oauth-file",
            file.to_str().unwrap(),
            "--from",
            "oldest",
            "--count",
            "2",
            "--json",
        ];
        arguments.map(str::to_owned).into()
    }

    /// Runs the program until it has written the two events.
    fn run_to_the_end(&self) -> Ended {
        self.run(&[]).end()
    }

    fn run(&self, runner: &[&std::ffi::OsStr]) -> Tail {
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Tail::run(runner, &arguments)
    }

    /// Runs the program, which is killed at the `nth` system call with that name.
    #[track_caller]
    fn run_and_kill(&self, call: &str, nth: usize) {
        let new = self.directory.path().join("credential.new");
        let killer = Killer::at(call, nth, &[&new, self.directory.path()]);
        killer.assert_killed(self.run(&killer.runner(FREELY)));
    }
}
