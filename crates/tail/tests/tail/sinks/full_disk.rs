//! Tests of a disk that has no room for a page. A limit for files takes its place: a page that does
//! not fit is written in part, and the write of the rest fails.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use rstest::rstest;
use rusqlite::Connection;

use super::{World, ids};
use crate::program::{TOKEN, Tail};

/// A shell command that runs its arguments with a limit for files. A write beyond that also causes a
/// signal, which would end the program.
fn limited(blocks: u32) -> String {
    format!(r#"trap '' XFSZ; ulimit -S -f {blocks}; exec "$0" "$@""#)
}

/// Returns the ids of the events in a file, in their order.
#[track_caller]
fn stored(kind: &str, file: &Path) -> Vec<String> {
    if kind != "sqlite" {
        return ids(file);
    }
    let database = Connection::open(file).unwrap();
    let mut select = database
        .prepare("SELECT event_id FROM events ORDER BY number")
        .unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[rstest]
#[case::plain("jsonl", "events.jsonl", &[], 32)]
#[case::gzip("jsonl", "events.jsonl.gz", &["--gzip"], 8)]
#[case::sqlite("sqlite", "events.db", &[], 256)]
fn x02_full_disk_ends_the_program_and_leaves_no_torn_page(
    #[case] kind: &str,
    #[case] name: &str,
    #[case] options: &[&str],
    #[case] blocks: u32,
) {
    let world = World::new();
    let file = world.path(name);
    let place = format!("{kind}:{}", file.display());
    let stored = || stored(kind, &file);
    world.server.append(TOKEN, 3);
    let arguments = [&["--from", "oldest", "--count", "3"], options].concat();
    let first = world.run(0, &place, &arguments);
    let middle = first.position().unwrap();
    assert_eq!(stored(), world.server.event_ids(TOKEN));

    world.server.append(TOKEN, 500);
    let arguments = [&["--to", &place, "--from", middle], options].concat();
    let limited = limited(blocks);
    let limited = ["sh", "-c", &limited].map(OsStr::new);
    let ended = Tail::run_by(&limited, &world.server, &arguments).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last = ended.reports.last().unwrap();
    for part in [
        "error: cannot write events: ",
        file.to_str().unwrap(),
        &format!("; resume with --from {middle}"),
    ] {
        assert!(last.contains(part), "{last}");
    }
    assert_eq!(stored(), world.server.event_ids(TOKEN)[..3]);
    assert!(fs::metadata(&file).unwrap().len() > 0);

    let mut tail = Tail::of(&world.server, &arguments);
    world.wait_for_all(&mut tail);
    tail.kill();
    assert_eq!(stored(), world.server.event_ids(TOKEN));
}

#[rstest]
#[case::plain("jsonl", "events.jsonl", &[], 8)]
#[case::gzip("jsonl", "events.jsonl.gz", &["--gzip"], 8)]
#[case::sqlite("sqlite", "events.db", &[], 256)]
fn policy_retry_writes_each_event_once_there_is_room(
    #[case] kind: &str,
    #[case] name: &str,
    #[case] options: &[&str],
    #[case] blocks: u32,
) {
    let world = World::new();
    let file = world.path(name);
    let place = format!("{kind}:{}", file.display());
    world.server.append(TOKEN, 500);
    let policy = ["--from", "oldest", "--on-error", "retry", "--to", &place];
    let limited = limited(blocks);
    let limited = ["sh", "-c", &limited].map(OsStr::new);
    let mut tail = Tail::run_by(&limited, &world.server, &[&policy, options].concat());
    tail.wait_for_report(|line| line.starts_with("retrying the output: "));
    let pid = tail.child.id().to_string();
    let mut lift = Command::new("prlimit");
    let lifted = lift.args(["--fsize=unlimited:", "--pid", &pid]).status();
    assert!(lifted.unwrap().success());
    world.wait_for_all(&mut tail);
    tail.kill();
    assert_eq!(stored(kind, &file), world.server.event_ids(TOKEN));
}
