//! Tests of a disk that has no room for a page. A limit for files takes its place: a page that does
//! not fit is written in part, and the write of the rest fails.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use box_longpoll_testkit::Emulator;
use rstest::rstest;

use super::sqlite::column;
use super::{World, ids};
use crate::program::{PATIENCE, TOKEN, Tail};

/// A place for events of which the program can write only a few.
struct Disk {
    world: World,
    file: PathBuf,
    place: String,
    options: &'static [&'static str],
    /// The limit for files, in blocks of 512 bytes.
    blocks: u32,
    /// The position after the events that were written before the disk was full.
    middle: String,
}

impl Disk {
    /// Writes three events, and makes the disk too small for the next 500.
    fn new(kind: &str, name: &str, options: &'static [&'static str], blocks: u32) -> Self {
        let world = World::new();
        let file = world.path(name);
        let place = format!("{kind}:{}", file.display());
        world.server.append(TOKEN, 3);
        let arguments = [&["--from", "oldest", "--count", "3"], options].concat();
        let middle = world
            .run(0, &place, &arguments)
            .position()
            .unwrap()
            .to_owned();
        world.server.append(TOKEN, 500);
        let disk = Self {
            world,
            file,
            place,
            options,
            blocks,
            middle,
        };
        assert_eq!(disk.stored(), disk.log()[..3]);
        disk
    }

    /// Starts the program, which continues after the three events.
    fn start(&self, runner: &[&OsStr], on_error: &str) -> Tail {
        let fixed = [
            "--to",
            &self.place,
            "--from",
            &self.middle,
            "--on-error",
            on_error,
        ];
        let arguments = [&fixed[..], self.options].concat();
        Tail::run_by(runner, &self.world.server, &arguments)
    }

    /// Starts the program with the limit. A write beyond it also causes a signal, which would end the
    /// program.
    fn start_with_limit(&self, on_error: &str) -> Tail {
        let limited = format!(
            r#"trap '' XFSZ; ulimit -S -f {}; exec "$0" "$@""#,
            self.blocks
        );
        let runner = ["sh", "-c", &limited].map(OsStr::new);
        self.start(&runner, on_error)
    }

    /// Removes the limit of a running program.
    fn make_room(tail: &Tail) {
        let id = tail.child.id().to_string();
        let set = Command::new("prlimit")
            .args(["--pid", &id, "--fsize=unlimited:"])
            .status();
        assert!(set.unwrap().success());
    }

    /// Returns the ids of the events that are in the place.
    fn stored(&self) -> Vec<String> {
        if self.place.starts_with("sqlite:") {
            column(&self.file, "SELECT event_id FROM events ORDER BY number")
        } else {
            ids(&self.file)
        }
    }

    fn log(&self) -> Vec<String> {
        self.world.server.event_ids(TOKEN)
    }
}

#[rstest]
#[case::plain("jsonl", "events.jsonl", &[], 32)]
#[case::gzip("jsonl", "events.jsonl.gz", &["--gzip"], 8)]
#[case::sqlite("sqlite", "events.db", &[], 256)]
fn x02_full_disk_ends_the_program_and_leaves_no_torn_page(
    #[case] kind: &str,
    #[case] name: &str,
    #[case] options: &'static [&'static str],
    #[case] blocks: u32,
) {
    let disk = Disk::new(kind, name, options, blocks);
    let ended = disk.start_with_limit("stop").end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last = ended.reports.last().unwrap();
    let resume = match kind {
        "sqlite" => "; resume with the same command",
        _ => &format!("; resume with --from {}", disk.middle),
    };
    let file = disk.file.to_str().unwrap();
    for part in ["error: cannot write events: ", file, resume] {
        assert!(last.contains(part), "{last}");
    }
    assert_eq!(disk.stored(), disk.log()[..3]);

    let mut tail = disk.start(&[], "stop");
    disk.world.wait_for_all(&mut tail);
    tail.kill();
    assert_eq!(disk.stored(), disk.log());
}

#[rstest]
#[case::plain("jsonl", "events.jsonl", &[], 32)]
#[case::gzip("jsonl", "events.jsonl.gz", &["--gzip"], 8)]
#[case::sqlite("sqlite", "events.db", &[], 256)]
fn x02_program_that_retries_goes_on_when_there_is_room(
    #[case] kind: &str,
    #[case] name: &str,
    #[case] options: &'static [&'static str],
    #[case] blocks: u32,
) {
    let disk = Disk::new(kind, name, options, blocks);
    let mut tail = disk.start_with_limit("retry");
    tail.wait_for_report(|line| line.starts_with("retrying the output: "));
    Disk::make_room(&tail);
    disk.world.wait_for_all(&mut tail);
    tail.kill();
    assert_eq!(disk.stored(), disk.log());
}

/// A file that was deleted takes room on the disk until no program has it open.
#[test]
fn x02_file_that_was_deleted_to_make_room_is_let_go() {
    let disk = Disk::new("jsonl", "events.jsonl", &[], 32);
    let mut tail = disk.start_with_limit("retry");
    tail.wait_for_report(|line| line.starts_with("retrying the output: "));
    fs::remove_file(&disk.file).unwrap();
    let let_go = |_: &Emulator| !has_open_deleted_file(&tail);
    assert!(disk.world.server.wait_until(PATIENCE, let_go));
    Disk::make_room(&tail);
    disk.world.wait_for_all(&mut tail);
    tail.kill();
    assert_eq!(disk.stored(), disk.log()[3..]);
}

fn has_open_deleted_file(tail: &Tail) -> bool {
    let entries = fs::read_dir(format!("/proc/{}/fd", tail.child.id())).unwrap();
    // A file may be closed meanwhile.
    let mut targets = entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    targets.any(|target| target.to_str().unwrap().ends_with(" (deleted)"))
}
