//! Tests of files that are moved away, by the program or by another one.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;

use super::{World, files, ids, jsonl};

/// Returns the time of the last write in the name of a file that was moved away.
#[track_caller]
fn time_in(path: &Path) -> Timestamp {
    let name = path.file_name().unwrap().to_str().unwrap();
    let time = name.strip_prefix("events.jsonl-").expect("the name");
    let time = time.strip_suffix(".gz").unwrap_or(time);
    time.parse().expect("a time")
}

#[rstest]
#[case::plain("events.jsonl", &["--rotate-size", "50B"])]
#[case::gzip("events.jsonl.gz", &["--rotate-size", "150B", "--gzip"])]
fn full_file_is_moved_away_before_it_gets_too_large(#[case] name: &str, #[case] options: &[&str]) {
    let world = World::new();
    let place = jsonl(&world.path("events.jsonl"));
    let limit: u64 = options[1].strip_suffix("B").unwrap().parse().unwrap();
    let mut tail = world.start(&place, options);
    tail.wait_for_report(|line| line == "listening");
    let expected: Vec<String> = (1_000..1_010).map(|id| id.to_string()).collect();
    for id in &expected {
        world.append(id);
        world.wait_for_all(&mut tail);
    }
    tail.kill();
    let files = files(world.directory.path(), name);
    // Two pages fit into a file.
    assert_eq!(files.len(), 5, "{files:?}");
    let times = files[..4].iter().map(|file| time_in(file));
    assert!(times.is_sorted(), "{files:?}");
    let all: Vec<String> = files.iter().flat_map(|file| ids(file)).collect();
    assert_eq!(all, expected);
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= limit, "{file:?}");
    }
}

#[test]
fn file_of_an_earlier_period_is_moved_away() {
    let world = World::new();
    let file = world.path("events.jsonl");
    let place = jsonl(&file);
    let run = |id| {
        world.append(id);
        let mut tail = world.start(&place, &["--rotate-every", "1d", "--from", "oldest"]);
        world.wait_for_all(&mut tail);
        tail.kill();
    };
    run("1");
    let now = fs::metadata(&file).unwrap().modified().unwrap();
    let two_days_ago = now - Duration::from_secs(48 * 60 * 60);
    // The same time is in the names of two files.
    for id in ["2", "3"] {
        let opened = File::options().append(true).open(&file).unwrap();
        opened.set_modified(two_days_ago).unwrap();
        run(id);
    }
    let found = files(world.directory.path(), "events.jsonl");
    let [first, second, last] = &found[..] else {
        panic!("{found:?}")
    };
    let off_by = Timestamp::try_from(two_days_ago)
        .unwrap()
        .duration_since(time_in(first));
    assert!(off_by < SignedDuration::from_secs(1), "{first:?}");
    assert_eq!(second.to_str().unwrap(), format!("{}-2", first.display()));
    assert_eq!(ids(first), ["1"]);
    assert_eq!(ids(second), ["1", "2"]);
    assert_eq!(ids(last), ["1", "2", "3"]);
}

#[cfg(unix)]
#[test]
fn hangup_begins_a_new_file_after_the_old_one_was_moved() {
    use crate::program::PATIENCE;

    let world = World::new();
    let [file, moved] = ["events.jsonl", "events.jsonl.1"].map(|name| world.path(name));
    let mut tail = world.start(&jsonl(&file), &[]);
    tail.wait_for_report(|line| line == "listening");
    world.append("1");
    world.wait_for_all(&mut tail);
    fs::rename(&file, &moved).unwrap();
    world.append("2");
    world.wait_for_all(&mut tail);
    assert_eq!(ids(&moved), ["1", "2"]);
    tail.signal("HUP");
    assert!(world.server.wait_until(PATIENCE, |_| file.exists()));
    world.append("3");
    world.wait_for_all(&mut tail);
    let ended = tail.interrupt();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert_eq!(ids(&moved), ["1", "2"]);
    assert_eq!(ids(&file), ["3"]);
}

#[cfg(unix)]
#[test]
fn hangup_while_the_file_cannot_be_opened_ends_no_retries() {
    let world = World::new();
    let [place, moved] = ["place", "moved"].map(|name| world.path(name));
    fs::create_dir(&place).unwrap();
    let file = place.join("events.jsonl");
    let mut tail = world.start(&jsonl(&file), &["--on-error", "retry"]);
    tail.wait_for_report(|line| line == "listening");
    world.append("1");
    world.wait_for_all(&mut tail);
    fs::rename(&place, &moved).unwrap();
    tail.signal("HUP");
    world.append("2");
    tail.wait_for_report(|line| line.starts_with("retrying the output: "));
    fs::rename(&moved, &place).unwrap();
    world.wait_for_all(&mut tail);
    let ended = tail.interrupt();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert_eq!(ids(&file), ["1", "2"]);
}

#[cfg(unix)]
#[test]
fn file_that_was_deleted_is_created_again() {
    let world = World::new();
    let file = world.path("events.jsonl");
    let mut tail = world.start(&jsonl(&file), &[]);
    tail.wait_for_report(|line| line == "listening");
    world.append("1");
    world.wait_for_all(&mut tail);
    fs::remove_file(&file).unwrap();
    for id in ["2", "3"] {
        world.append(id);
        world.wait_for_all(&mut tail);
    }
    tail.kill();
    assert_eq!(ids(&file), ["2", "3"]);
}

#[rstest]
#[case::torn("{\"event_id\":\"1\"}\n{\"event")]
#[case::without_a_line_break("{\"event_id\":\"1\"}")]
fn end_of_a_file_is_mended_and_its_period_kept(#[case] content: &str) {
    let world = World::new();
    let file = world.path("events.jsonl");
    fs::write(&file, content).unwrap();
    let opened = File::options().append(true).open(&file).unwrap();
    let before = Timestamp::now() - SignedDuration::from_hours(48);
    opened.set_modified(before.try_into().unwrap()).unwrap();
    world.append("2");
    let mut tail = world.start(&jsonl(&file), &["--rotate-every", "1d", "--from", "oldest"]);
    world.wait_for_all(&mut tail);
    tail.kill();
    let found = files(world.directory.path(), "events.jsonl");
    let [first, last] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(ids(first), ["1"]);
    assert_eq!(ids(last), ["2"]);
}

/// `logrotate` does so with `copytruncate`.
#[test]
fn file_that_was_cut_to_nothing_gets_the_next_page_at_its_start() {
    let world = World::new();
    let file = world.path("events.jsonl");
    let mut tail = world.start(&jsonl(&file), &[]);
    tail.wait_for_report(|line| line == "listening");
    world.append("1");
    world.wait_for_all(&mut tail);
    fs::write(&file, "").unwrap();
    world.append("2");
    world.wait_for_all(&mut tail);
    tail.kill();
    assert_eq!(ids(&file), ["2"]);
}
