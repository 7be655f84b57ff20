//! Proves the layers of `src/`: a file imports only from its own room and from rooms on lower
//! floors.
//!
//! A room is a module of the crate's root, and a floor is a layer of rooms. `ARCHITECTURE.md` says
//! what each room is for.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of each floor, from the ground up. A room may import from all lower floors.
const FLOORS: [&[&str]; 14] = [
    &[
        "call",
        "clock",
        "dedup",
        "event",
        "json",
        "redact",
        "single_flight",
        "sys",
    ],
    &["transport"],
    &["error"],
    &["hosts", "pacing", "position"],
    &["batch", "config", "status"],
    &["telemetry"],
    &["auth", "limiter"],
    &["checkpoint", "protocol"],
    &["api"],
    &["stream"],
    &["subscription"],
    &["client"],
    &["enterprise", "lib", "monitoring", "proxy", "reliability"],
    &["blocking"],
];

/// The rooms that the backends in `transports/` may use.
const USED_BY_TRANSPORTS: [&str; 4] = ["hosts", "sys", "transport", "transports"];

/// Former imports, which must not come back. Each made two rooms depend on each other.
const NEVER: [(&str, &str); 14] = [
    ("api", "use crate::stream::Driver;"),
    ("auth", "use crate::protocol::retry_after;"),
    ("checkpoint", "use crate::protocol::Window;"),
    ("config", "use crate::client::LongPollClient;"),
    ("config", "use crate::protocol::Pace;"),
    ("error", "use crate::auth::TokenError;"),
    ("error", "use crate::checkpoint::CheckpointError;"),
    ("limiter", "use crate::protocol::CLOCK_CHECK_INTERVAL;"),
    ("limiter", "use crate::stream::Streams;"),
    ("pacing", "use crate::config::require;"),
    ("protocol", "use crate::checkpoint::Checkpoint;"),
    ("stream", "use crate::client::Shared;"),
    ("subscription", "use crate::client::Shared;"),
    ("subscription", "use crate::LongPollClient;"),
];

/// Returns the floor of a room, counted from 0.
fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// Returns the lines of code with a path from the crate's root, each with the room that the path
/// leads to.
fn imports(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = code.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with("//"));
    lines.flat_map(|line| {
        line.match_indices("crate::").map(move |(at, root)| {
            let path = &line[at + root.len()..];
            let end = path.find(|c: char| !c.is_alphanumeric() && c != '_');
            let first = &path[..end.unwrap_or(path.len())];
            let is_module = floor(first).is_some() || first == "transports";
            (line, if is_module { first } else { "lib" })
        })
    })
}

/// Returns a sentence for each import of a file from a higher floor, or from another room of the
/// same floor.
fn imports_that_go_up(file: &Path, room: &str, code: &str) -> Vec<String> {
    let name = file.display();
    let from = floor(room).unwrap_or_else(|| panic!("{name} is in no room of FLOORS"));
    let imports = imports(code).filter_map(|(line, used)| {
        let to = floor(used)?;
        (used != room && to >= from).then(|| {
            let (to, from) = (to + 1, from + 1);
            format!("{name} is on floor {from} and imports `{used}` from floor {to}: {line}")
        })
    });
    imports.collect()
}

#[test]
fn no_file_imports_from_a_higher_floor() {
    let mut sentences = Vec::new();
    for file in rust_files("src") {
        let room = file.iter().nth(1).map(Path::new).and_then(Path::file_stem);
        let code = fs::read_to_string(&file).unwrap();
        sentences.extend(imports_that_go_up(
            &file,
            room.unwrap().to_str().unwrap(),
            &code,
        ));
    }
    assert!(sentences.is_empty(), "\n{}", sentences.join("\n"));
}

#[test]
fn import_from_a_higher_floor_is_reported_with_its_floors() {
    for (room, import) in NEVER {
        let file = PathBuf::from(format!("src/{room}/new.rs"));
        let sentences = imports_that_go_up(&file, room, import);
        assert_eq!(sentences.len(), 1, "{room}: {import}");
        assert!(sentences[0].ends_with(import), "{sentences:?}");
    }
    let down = "use crate::error::Error;\n// use crate::client::LongPollClient;";
    assert!(imports_that_go_up(Path::new("src/auth/new.rs"), "auth", down).is_empty());
}

#[test]
fn backends_import_only_from_the_permitted_rooms() {
    for file in rust_files("transports") {
        let code = fs::read_to_string(&file).unwrap();
        for (line, used) in imports(&code) {
            let name = file.display();
            assert!(
                USED_BY_TRANSPORTS.contains(&used),
                "{name} imports `{used}`: {line}"
            );
        }
    }
}

#[test]
fn other_rooms_are_imported_by_their_full_path() {
    for file in rust_files("src") {
        let depth = file.components().count() - 1;
        let up = "super::".repeat(depth);
        let code = fs::read_to_string(&file).unwrap();
        let leaves = |line: &&str| line.starts_with(&format!("use {up}"));
        assert_eq!(code.lines().find(leaves), None, "{}", file.display());
    }
}
