//! A program that is killed at each step of keeping a refresh token: first that it is being exchanged, then the next one.

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

/// What is being saved.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Save {
    /// That the token is being exchanged. Box has not been asked.
    Intent,
    /// The next token. Box takes the one before no more.
    Outcome,
}

#[rstest]
#[case::before_a_leftover_is_removed("unlink", 1, false)]
#[case::before_the_new_file_is_created("openat", 1, false)]
#[case::the_new_file_is_empty("write", 1, false)]
#[case::the_new_file_is_written("fsync", 1, true)]
#[case::the_new_file_is_synced("close", 1, true)]
#[case::before_the_rename("rename", 1, true)]
#[case::after_the_rename("openat", 2, true)]
#[case::before_the_directory_is_synced("fsync", 2, true)]
#[case::the_directory_is_synced("close", 2, true)]
#[ignore = "wants strace and the right to trace: .ci/run has them"]
fn x01_killed_at_each_step_of_keeping_a_refresh_token_it_goes_on_or_says_why_it_cannot(
    #[case] call: &str,
    #[case] nth: usize,
    #[case] is_whole: bool,
    #[values(Save::Intent, Save::Outcome)] save: Save,
) {
    let world = World::new();
    world.begin(save);
    world.die(call, nth);
    let ended = world.live();
    if save == Save::Outcome && !is_whole {
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let last = ended.reports.last().unwrap();
        assert!(
            last.contains("the answer with the next one was lost"),
            "{last}"
        );
    } else {
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.ids(), world.server.event_ids(USER));
    }
    let exchanges = world.server.counters().token.requests;
    let expected = match (save, is_whole) {
        (Save::Intent, _) | (Save::Outcome, true) => 1,
        (Save::Outcome, false) => 2,
    };
    assert_eq!(exchanges, expected);
}

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

    /// A credential whose next save is that one: an intent that is kept already is not kept anew.
    fn begin(&self, save: Save) {
        let token = self.server.grant_refresh_token(ID, USER);
        let credential = match save {
            Save::Intent => serde_json::json!({"refresh_token": token}),
            Save::Outcome => serde_json::json!({
                "refresh_token": token,
                "exchanging_since": "2026-01-01T00:00:00Z",
            }),
        };
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

    fn live(&self) -> Ended {
        self.run(&[]).end()
    }

    fn run(&self, runner: &[&std::ffi::OsStr]) -> Tail {
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Tail::run(runner, &arguments)
    }

    #[track_caller]
    fn die(&self, call: &str, nth: usize) {
        let new = self.directory.path().join("credential.new");
        let killer = Killer::at(call, nth, &[&new, self.directory.path()]);
        killer.assert_killed(self.run(&killer.runner(FREELY)));
    }
}
