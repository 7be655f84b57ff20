//! A checkpoint's file.

use std::fs;
use std::hash::Hasher as _;
use std::path::Path;

use box_longpoll::StartAt;
use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointFile, CheckpointStore as _};
use futures_lite::future::block_on;
use serde_json::Value;
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use tempfile::TempDir;

use super::shown;

thread_local! {
    /// One for a thread: to make one takes longer than all that is done in it.
    static DIRECTORY: TempDir = tempfile::tempdir().expect("a directory");
}

/// The bytes as a file, and as a checkpoint's JSON under a checksum that is right.
pub(crate) fn holds(data: &[u8]) {
    DIRECTORY.with(|directory| {
        let path = directory.path().join("checkpoint");
        assert_file(&path, data);
        assert_file(&path, &sealed(data));
    });
}

/// A file is never taken for none. What loads is saved and loads the same, and with any other byte in it does not load.
fn assert_file(path: &Path, text: &[u8]) {
    fs::write(path, text).expect("a file");
    let account = account(text);
    let checkpoint = match load(path, &account) {
        Ok(Some(checkpoint)) => checkpoint,
        Ok(None) => panic!("a file was taken for none"),
        Err(error) => return assert_names(&error, path),
    };
    assert_ne!(checkpoint.resume_at(), StartAt::Now);
    let json = serde_json::to_string(&checkpoint).expect("a checkpoint can be written");
    let read: Checkpoint = serde_json::from_str(&json).expect("what was written can be read");
    assert_eq!(read, checkpoint);

    let of_another = load(path, &format!("not {account}"));
    assert_names(&of_another.expect_err("it is of another account"), path);

    let store = CheckpointFile::open(path).expect("nobody else has it");
    block_on(store.save(&account, &checkpoint)).expect("it can be saved");
    drop(store);
    assert_eq!(load(path, &account).expect("it loads"), Some(checkpoint));
    let mut saved = fs::read(path).expect("a file");
    let at = text.iter().map(|byte| usize::from(*byte)).sum::<usize>() % saved.len();
    saved[at] ^= 1 << (text.len() % 8);
    fs::write(path, &saved).expect("a file");
    assert_names(&load(path, &account).expect_err("a byte is another"), path);
}

/// A store remembers whose file it is, so each call has one of its own.
fn load(path: &Path, account: &str) -> Result<Option<Checkpoint>, CheckpointError> {
    let store = CheckpointFile::open(path).expect("nobody else has it");
    block_on(store.load(account))
}

#[track_caller]
fn assert_names(error: &CheckpointError, path: &Path) {
    let named = error.path().and_then(Path::file_name);
    assert_eq!(named, path.file_name(), "{error}");
    assert!(error.to_string().contains("checkpoint"), "{error}");
    shown::assert_chain(error);
}

/// As a store writes it.
fn sealed(json: &[u8]) -> Vec<u8> {
    let mut hasher = SipHasher13::new();
    hasher.write(json);
    let sum = hasher.finish128().as_u128();
    let mut text = format!("box-longpoll checkpoint 1 {sum:032x}\n").into_bytes();
    text.extend_from_slice(json);
    text
}

/// Whose checkpoint it is, as far as it says so.
fn account(text: &[u8]) -> String {
    let json = text.iter().position(|byte| *byte == b'{').unwrap_or(0);
    serde_json::from_slice::<Value>(&text[json..])
        .ok()
        .and_then(|value| Some(value.get("account")?.as_str()?.to_owned()))
        .unwrap_or_default()
}
