//! The property of the file of a checkpoint.

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
    /// One directory per thread, because creating a directory takes longer than a check.
    static DIRECTORY: TempDir = tempfile::tempdir().expect("a directory");
}

/// Checks the bytes as a file, and as the JSON of a checkpoint with a correct checksum.
pub(crate) fn holds(data: &[u8]) {
    DIRECTORY.with(|directory| {
        let path = directory.path().join("checkpoint");
        assert_file(&path, data);
        assert_file(&path, &sealed(data));
    });
}

/// Asserts that a file is never treated as missing. A checkpoint that loads can be saved, and loads
/// the same. After a byte has changed, it does not load.
fn assert_file(path: &Path, text: &[u8]) {
    fs::write(path, text).expect("a file");
    let account = account(text);
    let checkpoint = match load(path, &account) {
        Ok(Some(checkpoint)) => checkpoint,
        Ok(None) => panic!("a file was treated as missing"),
        Err(error) => return assert_names(&error, path),
    };
    assert_ne!(checkpoint.resume_at(), StartAt::Now);
    let json = serde_json::to_string(&checkpoint).expect("a checkpoint can be written");
    let read: Checkpoint = serde_json::from_str(&json).expect("the written checkpoint can be read");
    assert_eq!(read, checkpoint);

    let of_other_account = load(path, &format!("not {account}"));
    assert_names(
        &of_other_account.expect_err("the file is of another account"),
        path,
    );

    let store = CheckpointFile::open(path).expect("the file is not in use");
    block_on(store.save(&account, &checkpoint)).expect("the checkpoint can be saved");
    drop(store);
    assert_eq!(
        load(path, &account).expect("the checkpoint loads"),
        Some(checkpoint)
    );
    let mut saved = fs::read(path).expect("a file");
    let at = text.iter().map(|byte| usize::from(*byte)).sum::<usize>() % saved.len();
    saved[at] ^= 1 << (text.len() % 8);
    fs::write(path, &saved).expect("a file");
    assert_names(&load(path, &account).expect_err("a byte has changed"), path);
}

/// Loads the checkpoint of an account, with a new store for each call, because a store remembers
/// the account of its file.
fn load(path: &Path, account: &str) -> Result<Option<Checkpoint>, CheckpointError> {
    let store = CheckpointFile::open(path).expect("the file is not in use");
    block_on(store.load(account))
}

/// Asserts that the error names the file.
#[track_caller]
fn assert_names(error: &CheckpointError, path: &Path) {
    let named = error.path().and_then(Path::file_name);
    assert_eq!(named, path.file_name(), "{error}");
    assert!(error.to_string().contains("checkpoint"), "{error}");
    shown::assert_chain(error);
}

/// Returns the file as a store writes it: a header line with the checksum, and the JSON.
fn sealed(json: &[u8]) -> Vec<u8> {
    let mut hasher = SipHasher13::new();
    hasher.write(json);
    let sum = hasher.finish128().as_u128();
    let mut text = format!("box-longpoll checkpoint 1 {sum:032x}\n").into_bytes();
    text.extend_from_slice(json);
    text
}

/// Returns the account in the text of a checkpoint, or an empty name.
fn account(text: &[u8]) -> String {
    let json = text.iter().position(|byte| *byte == b'{').unwrap_or(0);
    serde_json::from_slice::<Value>(&text[json..])
        .ok()
        .and_then(|value| Some(value.get("account")?.as_str()?.to_owned()))
        .unwrap_or_default()
}
