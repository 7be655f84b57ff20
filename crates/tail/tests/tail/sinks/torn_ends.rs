//! Tests of files that end in the middle of a page, as a kill or a crash of the machine leaves them.

use std::fs;

use rstest::rstest;

use super::{World, jsonl, text};
use crate::program::TOKEN;

#[rstest]
#[case::plain("events.jsonl", &[])]
#[case::gzip("events.jsonl.gz", &["--gzip"])]
fn incomplete_page_is_cut_off_at_every_byte(#[case] name: &str, #[case] options: &[&str]) {
    let world = World::new();
    let file = world.path(name);
    let place = jsonl(&file);
    let run = |from: &str| {
        let arguments = ["--from", from, "--count", "2"];
        world.run(0, &place, &[&arguments, options].concat())
    };
    for id in ["1", "2", "3", "4"] {
        world.append(id);
    }
    let ended = run("oldest");
    let middle = ended.position().unwrap();
    let first = fs::read(&file).unwrap();
    run(middle);
    let both = fs::read(&file).unwrap();
    assert!(both.starts_with(&first) && both.len() > first.len());
    assert_eq!(text(&file), lines(&["1", "2", "3", "4"]));

    for end in first.len()..=both.len() {
        // A crash of the machine may leave zeros where a page was written.
        for filler in [0, both.len() - end] {
            let content = [&both[..end], &vec![0; filler]].concat();
            fs::write(&file, &content).unwrap();
            let ended = run(middle);

            // An event is complete without its line break.
            let is_page_end = |end: &usize| match options {
                [] if both.get(*end) == Some(&b'\n') => content[..*end] == both[..*end],
                [] => content[end - 1] == b'\n',
                _ => [&first[..], &both].contains(&&content[..*end]),
            };
            let complete = (first.len()..=content.len()).rfind(is_page_end).unwrap();
            let kept = match options {
                [] => {
                    let new = &content[first.len()..complete];
                    new.split(|byte| *byte == b'}').count() - 1
                }
                _ if complete == both.len() => 2,
                _ => 0,
            };
            let expected = [&["1", "2"], &["3", "4"][..kept], &["3", "4"]].concat();
            assert_eq!(text(&file), lines(&expected), "{end} {filler}");
            let is_removed = ended
                .reports
                .iter()
                .any(|line| line.starts_with("removed "));
            assert_eq!(is_removed, content.len() > complete, "{ended:?}");
        }
    }
}

/// Returns the lines of events that have an id alone.
fn lines(ids: &[&str]) -> String {
    let line = |id| format!("{{\"event_id\":\"{id}\"}}\n");
    ids.iter().map(line).collect()
}

#[test]
fn torn_first_page_leaves_an_empty_file() {
    let world = World::new();
    world.append("1");
    for (name, options) in [("events.jsonl", &[][..]), ("events.jsonl.gz", &["--gzip"])] {
        let file = world.path(name);
        let arguments = [&["--from", "oldest", "--count", "1"], options].concat();
        world.run(0, &jsonl(&file), &arguments);
        let page = fs::read(&file).unwrap();
        for end in [0, 1, page.len() / 2, page.len() - 2] {
            fs::write(&file, &page[..end]).unwrap();
            world.run(0, &jsonl(&file), &arguments);
            assert!(fs::read(&file).unwrap() == page, "{name} {end}");
        }
    }
}

#[rstest]
#[case::plain("events.jsonl", &[])]
#[case::gzip("events.jsonl.gz", &["--gzip"])]
fn last_page_is_found_before_a_long_torn_one(#[case] name: &str, #[case] options: &[&str]) {
    let world = World::new();
    // A page is longer than the parts in which the file is read.
    let padding: String = (0..200_000).map(|_| fastrand::alphanumeric()).collect();
    let event = |id| format!(r#"{{"event_id":"{id}","padding":"{padding}"}}"#);
    world.server.append_json(TOKEN, ["1", "2"].map(event));
    let file = world.path(name);
    let run = |from: &str| {
        let arguments = ["--from", from, "--count", "1"];
        world.run(0, &jsonl(&file), &[&arguments, options].concat())
    };
    let ended = run("oldest");
    let middle = ended.position().unwrap();
    let first = fs::read(&file).unwrap();
    run(middle);
    let both = fs::read(&file).unwrap();
    for end in [
        first.len() + 100,
        first.len().midpoint(both.len()),
        both.len() - 2,
    ] {
        fs::write(&file, &both[..end]).unwrap();
        run(middle);
        assert!(fs::read(&file).unwrap() == both, "{end}");
    }
}

#[test]
fn file_of_another_program_is_refused_and_left_unchanged() {
    let world = World::new();
    world.append("1");
    let compressed = {
        let file = world.path("ours.gz");
        let arguments = ["--from", "oldest", "--count", "1", "--gzip"];
        world.run(0, &jsonl(&file), &arguments);
        fs::read(&file).unwrap()
    };
    let text = ["--format", "{event_id}"];
    // The header of another program's member has no comment.
    let foreign = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0";
    let half = [&compressed[..], foreign].concat();
    for (name, content, options) in [
        ("plain.jsonl", &compressed[..], &[][..]),
        ("text.gz", b"{\"event_id\":\"1\"}\n", &["--gzip"]),
        ("foreign.gz", foreign, &["--gzip"]),
        ("half.gz", &half, &["--gzip"]),
        ("tokens.json", b"{\n  \"refresh_token\": \"1\"\n}", &[]),
        ("words.txt", b"one\ntwo", &[]),
        ("nearly.jsonl", b"{\"event_id\":\"1\"}\n{\"2\"}", &[]),
        ("zeros.db", b"a header\0 and its page\n\0\0", &[]),
        ("zeros.bin", b"a header\0 and its page\n\0\0", &text),
        ("page.bin", b"a header\0\n{", &text),
    ] {
        let file = world.path(name);
        fs::write(&file, content).unwrap();
        let arguments = [&["--from", "oldest", "--count", "1"], options].concat();
        let ended = world.run(1, &jsonl(&file), &arguments);
        let last = ended.reports.last().unwrap();
        assert!(
            last.contains(name) && last.contains("choose another"),
            "{last}"
        );
        assert!(fs::read(&file).unwrap() == content, "{name}");
    }
}

#[test]
fn complete_event_without_a_line_break_is_kept() {
    let world = World::new();
    world.append("2");
    let file = world.path("events.jsonl");
    for (content, format) in [
        (r#"{"event_id":"1"}"#, "json"),
        ("{\"event_id\":\"0\"}\n{\"event_id\":\"1\"}", "json"),
        (r#"{"event_id":"1"}"#, r#"{{"event_id":"{event_id}"}}"#),
    ] {
        fs::write(&file, content).unwrap();
        let arguments = ["--from", "oldest", "--count", "1", "--format", format];
        world.run(0, &jsonl(&file), &arguments);
        assert_eq!(text(&file), format!("{content}\n{}", lines(&["2"])));
    }
}
