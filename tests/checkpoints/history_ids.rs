//! Tests of the ids of a history: their number in a checkpoint, and the file beside it. Here the
//! checkpoints come from JSON, as a database would store them.

use std::fs;
use std::path::PathBuf;

use box_longpoll::checkpoint::{
    Checkpoint, CheckpointDirectory, CheckpointFile, CheckpointStore as _,
};
use futures_lite::future::block_on;
use serde_json::{Value, json};

use crate::world::{ACCOUNT, dated_checkpoint};

/// Returns the JSON of a checkpoint in the middle of a history with this many ids.
fn written(history_ids: u64) -> Value {
    let origin = "https://api.box.com";
    let plain = dated_checkpoint(origin, "admin_logs_streaming", "17", "2026-01-02T03:04:05Z");
    let mut json = serde_json::to_value(plain).unwrap();
    json["position"] = "since 2026-01-01T00:00:00Z".into();
    json["since"] = "2025-01-01T00:00:00Z".into();
    json["history_ids"] = history_ids.into();
    json
}

fn read(json: Value) -> Checkpoint {
    serde_json::from_value(json).unwrap()
}

/// Returns the ids with these numbers.
fn ids(numbers: impl IntoIterator<Item = u8>) -> Vec<u8> {
    numbers
        .into_iter()
        .flat_map(|number| [number; 12])
        .collect()
}

#[test]
fn history_survives_being_written_and_read() {
    for forget_ids_at in [Value::Null, "2026-02-01T00:00:00Z".into()] {
        let mut json = written(3);
        json["forget_ids_at"] = forget_ids_at;
        let checkpoint = read(json.clone());
        assert_eq!(checkpoint.history_ids(), 3);
        assert_eq!(checkpoint.new_ids(), None);
        assert_eq!(checkpoint.resume_at().to_string(), json["position"]);
        json["format"] = 3.into();
        assert_eq!(serde_json::to_value(&checkpoint).unwrap(), json);
        let packed = rmp_serde::to_vec(&checkpoint).unwrap();
        assert_eq!(
            rmp_serde::from_slice::<Checkpoint>(&packed).unwrap(),
            checkpoint
        );
        let packed = postcard::to_stdvec(&checkpoint).unwrap();
        assert_eq!(
            postcard::from_bytes::<Checkpoint>(&packed).unwrap(),
            checkpoint
        );
    }
}

#[test]
fn ids_are_never_serialized() {
    let checkpoint = read(written(3));
    let with_ids = checkpoint.clone().with_ids([(0, ids(0..3))]);
    assert!(with_ids != checkpoint);
    let json = serde_json::to_value(&with_ids).unwrap();
    assert_eq!(json, serde_json::to_value(&checkpoint).unwrap());
    assert_eq!(read(json), checkpoint);
}

#[test]
fn history_that_makes_no_sense_is_refused() {
    for (field, nonsense) in [
        ("since", json!("yesterday")),
        ("since", Value::Null),
        ("forget_ids_at", json!("tomorrow")),
        ("history_ids", Value::Null),
        ("position", json!("since yesterday")),
    ] {
        let mut bad = written(3);
        bad[field] = nonsense.clone();
        let read = serde_json::from_value::<Checkpoint>(bad);
        assert!(read.is_err(), "{field} {nonsense}");
    }
}

#[test]
fn checkpoint_of_format_2_has_no_history() {
    let mut old = written(3);
    for field in ["since", "forget_ids_at", "history_ids"] {
        old.as_object_mut().unwrap().remove(field);
    }
    old["position"] = "17".into();
    old["format"] = 2.into();
    let checkpoint = read(old);
    assert_eq!(checkpoint.history_ids(), 0);
    assert_eq!(checkpoint.resume_at().to_string(), "17");
}

#[test]
fn ids_beside_a_checkpoint_are_loaded_as_far_as_they_count() {
    let directory = tempfile::tempdir().unwrap();
    let file = CheckpointFile::open(directory.path().join("checkpoint")).unwrap();
    let shared = CheckpointDirectory::open(directory.path()).unwrap();
    let beside = |name: &str| -> PathBuf { directory.path().join(name) };
    let checkpoint = read(written(3));
    block_on(file.save(ACCOUNT, &checkpoint)).unwrap();
    block_on(shared.save(ACCOUNT, &checkpoint)).unwrap();
    for (content, loaded) in [
        (ids(0..3), ids(0..3)),
        (ids(0..5), ids(0..3)),
        (ids(0..2), ids(0..2)),
        (ids(0..3)[..35].to_vec(), ids(0..2)),
        (Vec::new(), Vec::new()),
    ] {
        let expected = Some(checkpoint.clone().with_ids([(0, loaded)]));
        fs::write(beside("checkpoint.ids"), &content).unwrap();
        assert_eq!(block_on(file.load(ACCOUNT)).unwrap(), expected);
        fs::write(beside(&format!("checkpoint.{ACCOUNT}.ids")), &content).unwrap();
        assert_eq!(block_on(shared.load(ACCOUNT)).unwrap(), expected);
    }
    fs::remove_file(beside("checkpoint.ids")).unwrap();
    assert_eq!(block_on(file.load(ACCOUNT)).unwrap(), Some(checkpoint));
}

#[test]
fn file_of_ids_is_deleted_with_the_last_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    let file = CheckpointFile::open(&path).unwrap();
    block_on(file.save(ACCOUNT, &read(written(2)))).unwrap();
    let beside = directory.path().join("checkpoint.ids");
    fs::write(&beside, ids(0..2)).unwrap();
    block_on(file.save(ACCOUNT, &read(written(2)))).unwrap();
    assert_eq!(fs::read(&beside).unwrap(), ids(0..2));
    block_on(file.save(ACCOUNT, &read(written(0)))).unwrap();
    assert!(!beside.exists());
}
