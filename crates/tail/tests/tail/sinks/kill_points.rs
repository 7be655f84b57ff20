//! Tests in which the program is killed at each step of a page that begins a new file.

use rstest::rstest;

use super::{World, files, ids, jsonl};
use crate::killer::{FREELY, IN_PARTS, Killer};
use crate::program::{TOKEN, Tail};

/// The number of events in each run. A page of them takes more than the 4,096 bytes of [`IN_PARTS`],
/// even if it is compressed.
const EVENTS: usize = 300;

#[rstest]
#[case::before_the_full_file_is_moved_away("rename", 1, FREELY)]
#[case::before_the_new_file_is_created("openat", 1, FREELY)]
#[case::before_the_new_file_is_durable("fsync", 1, FREELY)]
#[case::before_the_page_is_written("write", 1, FREELY)]
#[case::the_page_is_half_written("write", 2, IN_PARTS)]
#[case::the_page_is_written("fdatasync", 1, FREELY)]
#[ignore = "needs strace and the right to trace: .ci/run has them"]
fn x01_kill_at_each_step_of_a_page_loses_no_line(
    #[case] call: &str,
    #[case] nth: usize,
    #[case] run: &str,
    #[values("events.jsonl", "events.jsonl.gz")] name: &str,
) {
    let world = World::new();
    let [file, checkpoint] = [name, "checkpoint"].map(|name| world.path(name));
    let place = jsonl(&file);
    let options: &[&str] = match name {
        "events.jsonl" => &["--from", "oldest"],
        _ => &["--from", "oldest", "--gzip"],
    };
    let checkpoint = ["--checkpoint", checkpoint.to_str().unwrap()];
    let rotation = ["--to", &place, "--rotate-size", "1kB"];
    let arguments = [&rotation, &checkpoint[..], options].concat();
    let run_to_the_end = || {
        let mut tail = Tail::of(&world.server, &arguments);
        world.wait_for_all(&mut tail);
        tail.kill();
    };
    world.server.append(TOKEN, EVENTS);
    run_to_the_end();
    world.server.append(TOKEN, EVENTS);
    let killer = Killer::at(call, nth, &[&file]);
    killer.assert_killed(Tail::run_by(&killer.runner(run), &world.server, &arguments));
    run_to_the_end();

    let files = files(world.directory.path(), name);
    let mut written: Vec<String> = files.iter().flat_map(|file| ids(file)).collect();
    // A page that was written in the killed run is written again. It is complete, and comes once
    // more right behind itself.
    let log = world.server.event_ids(TOKEN);
    if written.len() > log.len() {
        written.drain(EVENTS..written.len() - EVENTS);
    }
    assert!(written == log, "{files:?}");
}
