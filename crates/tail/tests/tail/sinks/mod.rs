//! Tests of the places for events: files and databases, and the proof that kills lose nothing.

#[cfg(target_os = "linux")]
mod full_disk;
mod jsonl;
#[cfg(target_os = "linux")]
mod kill_points;
pub(crate) mod kills;
mod rotation;
mod sqlite;
mod torn_ends;

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use box_longpoll_testkit::EmulatorServer;
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ended, TOKEN, Tail};

/// An emulator, and a directory with a file of lines.
struct World {
    server: EmulatorServer,
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            server: EmulatorServer::start(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Appends an event with this id alone.
    fn append(&self, id: &str) {
        let event = format!(r#"{{"event_id":"{id}"}}"#);
        self.server.append_json(TOKEN, [event]);
    }

    fn newest(&self) -> String {
        self.server.emulator().newest_position(TOKEN)
    }

    /// Starts the program, which writes to this place.
    fn start(&self, place: &str, arguments: &[&str]) -> Tail {
        Tail::of(&self.server, &[&["--to", place], arguments].concat())
    }

    /// Runs the program until it ends with this exit code.
    #[track_caller]
    fn run(&self, code: i32, place: &str, arguments: &[&str]) -> Ended {
        let ended = self.start(place, arguments).end();
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.events.is_empty(), "{ended:?}");
        ended
    }

    /// Waits until the program has written all events.
    #[track_caller]
    fn wait_for_all(&self, tail: &mut Tail) {
        let newest = self.newest();
        tail.wait_for_report(|line| line == format!("position {newest}"));
    }
}

/// Returns the place of a file of lines.
fn jsonl(path: &Path) -> String {
    format!("jsonl:{}", path.display())
}

/// Returns the files that began as `name`, sorted by their names: those that were moved away, and
/// the file itself at the end.
fn files(directory: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let prefix = directory.join(format!("{stem}-")).display().to_string();
    let moved = paths.filter(|path| path.to_str().unwrap().starts_with(&prefix));
    let mut files: Vec<PathBuf> = moved.collect();
    files.sort();
    let last = directory.join(name);
    files.extend(last.exists().then_some(last));
    files
}

/// Returns the text of a file of lines. Each line must be complete, and so must each gzip member.
#[track_caller]
fn text(path: &Path) -> String {
    let mut text = String::new();
    let mut file = File::open(path).unwrap();
    let read = match path.extension() {
        Some(extension) if extension == "gz" => MultiGzDecoder::new(file).read_to_string(&mut text),
        _ => file.read_to_string(&mut text),
    };
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line");
    text
}

/// Returns the ids of the events in a file of lines.
#[track_caller]
fn ids(path: &Path) -> Vec<String> {
    let text = text(path);
    let id = |line| {
        let event: Value = serde_json::from_str(line).expect("a line is an event");
        event["event_id"].as_str().expect("it has an id").into()
    };
    text.lines().map(id).collect()
}
