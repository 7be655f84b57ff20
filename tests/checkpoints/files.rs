//! Tests of `CheckpointFile`: its format, damaged and foreign files, locks, links, and interrupted
//! saves.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io, thread};

use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointFile, CheckpointStore};
use futures_lite::future::block_on;
use tempfile::TempDir;

use crate::world::{ACCOUNT, dated_checkpoint};

struct Files {
    directory: TempDir,
}

impl Files {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Opens the checkpoint's file.
    #[track_caller]
    fn open(&self) -> CheckpointFile {
        CheckpointFile::open(self.path("checkpoint")).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn at(position: &str) -> Checkpoint {
    dated_checkpoint(
        "https://api.box.com",
        "all",
        position,
        "2026-01-02T03:04:05Z",
    )
}

/// Loads the checkpoint without an async runtime.
fn load(store: &CheckpointFile) -> Result<Option<Checkpoint>, CheckpointError> {
    block_on(store.load(ACCOUNT))
}

fn save(store: &CheckpointFile, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
    block_on(store.save(ACCOUNT, checkpoint))
}

#[track_caller]
fn assert_names(error: &CheckpointError, path: &Path) {
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(error.to_string().contains(name), "{error}");
    assert!(error.path().unwrap().ends_with(name), "{error:?}");
}

#[test]
fn checkpoint_is_read_while_its_file_is_in_use() {
    let files = Files::new();
    let path = files.path("checkpoint");
    assert_eq!(CheckpointFile::read(&path).unwrap(), None);
    assert_eq!(files.names(), [""; 0], "reading creates no file");
    let store = files.open();
    save(&store, &at("7")).unwrap();
    assert_eq!(CheckpointFile::read(&path).unwrap(), Some(at("7")));
    let error = CheckpointFile::open(&path).unwrap_err();
    assert!(error.is_in_use(), "{error}");

    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    let error = CheckpointFile::read(&path).unwrap_err();
    assert_names(&error, &path);
    assert!(!error.is_in_use(), "{error}");
}

#[test]
fn saved_checkpoint_is_loaded_and_no_other_file_is_left_behind() {
    let files = Files::new();
    let store = files.open();
    assert_eq!(load(&store).unwrap(), None);
    for position in ["1", "2"] {
        save(&store, &at(position)).unwrap();
        assert_eq!(load(&store).unwrap(), Some(at(position)));
    }
    drop(store);
    assert_eq!(load(&files.open()).unwrap(), Some(at("2")));
    assert_eq!(files.names(), ["checkpoint", "checkpoint.lock"]);
}

#[test]
fn checkpoint_of_the_largest_window_is_loaded() {
    let mut largest = serde_json::to_value(at("1")).unwrap();
    largest["ids"] = "0123456789abcdef".repeat(2 * 65_535).into();
    let largest: Checkpoint = serde_json::from_value(largest).unwrap();
    let files = Files::new();
    let store = files.open();
    save(&store, &largest).unwrap();
    assert!(load(&store).unwrap() == Some(largest));
}

#[test]
fn checkpoint_file_is_readable_text() {
    let files = Files::new();
    let store = files.open();
    save(&store, &at("1152922976252290886")).unwrap();
    let text = fs::read_to_string(store.path()).unwrap();
    let (first, json) = text.split_once('\n').unwrap();
    assert!(first.starts_with("box-longpoll checkpoint 1 "), "{first}");
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["account"], ACCOUNT);
    assert_eq!(json["position"], "1152922976252290886");
}

#[test]
fn a_file_torn_at_any_length_is_an_error_that_names_it() {
    let files = Files::new();
    let store = files.open();
    save(&store, &at("17")).unwrap();
    let complete = fs::read(store.path()).unwrap();
    for length in 0..complete.len() {
        fs::write(store.path(), &complete[..length]).unwrap();
        let error = load(&store).unwrap_err();
        assert_names(&error, store.path());
    }
    fs::write(store.path(), &complete).unwrap();
    assert_eq!(load(&store).unwrap(), Some(at("17")));
}

#[test]
fn a_file_with_any_bit_flipped_is_an_error_that_names_it() {
    let files = Files::new();
    let store = files.open();
    save(&store, &at("17")).unwrap();
    let complete = fs::read(store.path()).unwrap();
    for byte in 0..complete.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut flipped = complete.clone();
            flipped[byte] ^= bit;
            fs::write(store.path(), &flipped).unwrap();
            assert_names(&load(&store).unwrap_err(), store.path());
        }
    }
}

#[test]
fn a_foreign_file_is_an_error_that_names_it_and_is_left_alone() {
    let files = Files::new();
    let store = files.open();
    for foreign in [
        "1152922976252290886\n",
        "{}",
        "box-longpoll checkpoint 2 ",
        "\0",
    ] {
        fs::write(store.path(), foreign).unwrap();
        assert_names(&load(&store).unwrap_err(), store.path());
        assert_eq!(fs::read_to_string(store.path()).unwrap(), foreign);
    }
    let huge = fs::File::create(store.path()).unwrap();
    huge.set_len(1 << 40).unwrap();
    assert_names(&load(&store).unwrap_err(), store.path());
    fs::remove_file(store.path()).unwrap();
    fs::create_dir(store.path()).unwrap();
    assert_names(&load(&store).unwrap_err(), store.path());
    assert_names(&save(&store, &at("1")).unwrap_err(), store.path());
}

#[test]
fn second_store_on_a_file_is_refused_until_the_first_is_dropped() {
    let files = Files::new();
    let path = files.path("checkpoint");
    let store = files.open();
    let error = CheckpointFile::open(&path).unwrap_err();
    assert_names(&error, &path);
    assert!(error.to_string().contains("in use"), "{error}");
    // Another name of the same file is refused too.
    save(&store, &at("1")).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&path, files.path("link")).unwrap();
        assert_names(
            &CheckpointFile::open(files.path("link")).unwrap_err(),
            &path,
        );
    }
    let around = files.path("checkpoint.lock/../checkpoint");
    assert!(CheckpointFile::open(around).is_err());
    drop(store);
    files.open();
}

#[test]
fn save_succeeds_when_a_killed_process_left_behind_a_file() {
    let files = Files::new();
    let store = files.open();
    fs::write(files.path("checkpoint.new"), "box-longpoll check").unwrap();
    assert_eq!(load(&store).unwrap(), None);
    save(&store, &at("1")).unwrap();
    fs::write(files.path("checkpoint.new"), "box-longpoll check").unwrap();
    assert_eq!(load(&store).unwrap(), Some(at("1")));
    save(&store, &at("2")).unwrap();
    assert_eq!(load(&store).unwrap(), Some(at("2")));
    assert_eq!(files.names(), ["checkpoint", "checkpoint.lock"]);
}

#[test]
fn a_directory_that_is_missing_is_an_error_that_names_the_file() {
    let files = Files::new();
    let path = files.path("missing").join("checkpoint");
    assert_names(&CheckpointFile::open(&path).unwrap_err(), &path);

    // Here the directory is removed while the store is open.
    fs::create_dir(files.path("missing")).unwrap();
    let store = CheckpointFile::open(&path).unwrap();
    save(&store, &at("1")).unwrap();
    fs::remove_dir_all(files.path("missing")).unwrap();
    let error = save(&store, &at("2")).unwrap_err();
    assert_names(&error, &path);
    assert!(error.source().is_some_and(<dyn Error>::is::<io::Error>));
}

#[test]
fn store_of_one_account_refuses_another() {
    let files = Files::new();
    let store = files.open();
    assert_eq!(load(&store).unwrap(), None);
    let path = store.path();
    assert_names(&block_on(store.load("bob")).unwrap_err(), path);
    assert_names(&block_on(store.save("bob", &at("1"))).unwrap_err(), path);
    assert_eq!(load(&store).unwrap(), None);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_file_that_does_not_exist_leads_to_that_file() {
    let files = Files::new();
    let [link, target] = ["link", "target"].map(|name| files.path(name));
    std::os::unix::fs::symlink("target", &link).unwrap();
    let store = CheckpointFile::open(&link).unwrap();
    assert_names(&CheckpointFile::open(&target).unwrap_err(), &target);
    save(&store, &at("1")).unwrap();
    assert!(link.is_symlink() && target.is_file());
    drop(store);
    assert_eq!(
        load(&CheckpointFile::open(&target).unwrap()).unwrap(),
        Some(at("1"))
    );
}

#[cfg(unix)]
#[test]
fn read_only_directory_is_an_error_that_names_the_file() {
    use std::os::unix::fs::PermissionsExt as _;

    let files = Files::new();
    let directory = files.path("read-only");
    fs::create_dir(&directory).unwrap();
    let store = CheckpointFile::open(directory.join("checkpoint")).unwrap();
    save(&store, &at("1")).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(directory.join("probe"), "").is_ok() {
        // Root ignores the permissions, so directories take the places of the new files instead.
        fs::create_dir_all(directory.join("checkpoint.new")).unwrap();
        fs::create_dir_all(directory.join("other.lock")).unwrap();
    }
    assert_names(&save(&store, &at("2")).unwrap_err(), store.path());
    assert_eq!(
        load(&store).unwrap(),
        Some(at("1")),
        "the earlier checkpoint is still there"
    );
    let other = directory.join("other");
    assert_names(&CheckpointFile::open(&other).unwrap_err(), &other);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
}

/// `strace` makes each `fsync` of the directory return `EINVAL`, and leaves other calls alone.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs strace and permission to trace: .ci/run has both"]
fn save_succeeds_when_the_directory_sync_gives_einval() {
    const FILE: &str = "BOX_LONGPOLL_TEST_FILE";

    if let Some(file) = std::env::var_os(FILE) {
        let store = CheckpointFile::open(file).unwrap();
        for position in ["1", "2"] {
            save(&store, &at(position)).unwrap();
        }
        return;
    }
    let files = Files::new();
    let calls = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new("strace")
        .args(["-f", "-qq", "-e", "inject=fsync:error=EINVAL", "-P"])
        .arg(files.directory.path())
        .arg("-o")
        .arg(calls.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--include-ignored", "--exact"])
        .arg("files::save_succeeds_when_the_directory_sync_gives_einval")
        .env(FILE, files.path("checkpoint"))
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    let calls = fs::read_to_string(calls.path()).unwrap();
    assert_eq!(calls.matches("(INJECTED)").count(), 2, "{calls}");
    assert_eq!(load(&files.open()).unwrap(), Some(at("2")));
}

#[test]
fn a_save_that_was_abandoned_does_not_undo_a_later_one() {
    let files = Files::new();
    let store = files.open();
    for round in 1..100 {
        let abandoned = at(&format!("{round}1"));
        let last = at(&format!("{round}2"));
        block_on(futures_lite::future::poll_once(
            store.save(ACCOUNT, &abandoned),
        ));
        save(&store, &last).unwrap();
        assert_eq!(load(&store).unwrap(), Some(last));
    }
}

#[test]
fn a_checkpoint_that_makes_no_sense_is_refused() {
    let good = serde_json::to_value(at("17")).unwrap();
    for (field, nonsense) in [
        ("position", "now"),
        ("position", ""),
        ("stream_type", "some"),
        ("last_success", "yesterday"),
        ("last_success", "1960-01-01T00:00:00Z"),
        ("id_key", "0"),
        ("ids", "0"),
        ("ids", "+0000000000000000000000000000001"),
        ("ids", &"0".repeat(32 * 100_001)),
    ] {
        let mut bad = good.clone();
        bad[field] = nonsense.into();
        let read = serde_json::from_value::<Checkpoint>(bad);
        assert!(read.is_err(), "{field} {nonsense:?}");
    }
    assert!(serde_json::from_value::<Checkpoint>(good).is_ok());
}

#[test]
fn file_can_be_reopened_while_processes_are_started() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("checkpoint");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let program = std::env::current_exe().unwrap();
                let mut command = Command::new(program);
                command.args(["--list"]).stdout(Stdio::null());
                assert!(command.status().unwrap().success());
            }
        });
        let reopened = (0..2_000).find_map(|_| CheckpointFile::open(&file).err());
        over.store(true, Ordering::Relaxed);
        assert!(reopened.is_none(), "{reopened:?}");
    });
}
