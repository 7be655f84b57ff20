//! The floors of `src/`: a file uses its own room and rooms on lower floors. `ARCHITECTURE.md` says what each room is for.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, from the ground up. A room uses the rooms before it.
const FLOORS: [&[&str]; 14] = [
    &[
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
    &["auth"],
    &["checkpoint"],
    &["protocol"],
    &["api"],
    &["stream"],
    &["subscription"],
    &["client"],
    &["lib"],
    &["blocking"],
];

/// The rooms of the core that the backends in `transports/` use.
const USED_BY_TRANSPORTS: [&str; 4] = ["hosts", "sys", "transport", "transports"];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| {
        if path.is_dir() {
            rust_files(&path)
        } else {
            vec![path]
        }
    });
    files
        .filter(|file| file.extension().is_some_and(|end| end == "rs"))
        .collect()
}

/// The lines of code that name something by its path from the crate's root, and the first part of each such path.
fn imports(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let code = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"));
    code.flat_map(|line| {
        line.match_indices("crate::").map(move |(at, root)| {
            let path = &line[at + root.len()..];
            let end = path.find(|c: char| !c.is_alphanumeric() && c != '_');
            (line, &path[..end.unwrap_or(path.len())])
        })
    })
}

/// A sentence for each import that goes up, or to another room of the same floor.
fn wrong_imports(file: &Path, room: &str, text: &str) -> Vec<String> {
    let from = floor(room).unwrap_or_else(|| panic!("{} is in no room of FLOORS", file.display()));
    let imports = imports(text).filter_map(|(line, used)| {
        // Types and functions at the crate's root belong to the room of `lib.rs`.
        let used = if floor(used).is_some() { used } else { "lib" };
        let to = floor(used)?;
        (used != room && to >= from).then(|| {
            format!(
                "{} imports from `{used}` on floor {}, and is itself on floor {}: {line}",
                file.display(),
                to + 1,
                from + 1
            )
        })
    });
    imports.collect()
}

#[test]
fn no_file_imports_from_a_higher_floor() {
    let mut wrong = Vec::new();
    for file in rust_files(Path::new("src")) {
        let room = file
            .iter()
            .nth(1)
            .and_then(|part| Path::new(part).file_stem()?.to_str());
        let text = fs::read_to_string(&file).unwrap();
        wrong.extend(wrong_imports(&file, room.unwrap(), &text));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
