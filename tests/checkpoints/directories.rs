//! Tests of `CheckpointDirectory`, which keeps the checkpoints of many accounts in one directory.

use std::fs;
use std::sync::Arc;

use box_longpoll::checkpoint::{CheckpointDirectory, CheckpointStore as _};
use box_longpoll::{AccessToken, ErrorKind, StartAt, StreamMap, Update};

use crate::fake_box::{TOKEN, fake_box};
use crate::world::{client, follow, in_time, started};

const ACCOUNTS: [&str; 3] = ["ada", "Ada", "bob@example.com/../x"];

#[tokio::test]
async fn accounts_share_a_directory_and_resume_separately() {
    let server = fake_box(|_| ());
    let directory = tempfile::tempdir().unwrap();
    let client = client(&server);
    for (n, account) in ACCOUNTS.into_iter().enumerate() {
        server.append(&format!("token-{n}"), 4 + 4 * n);
        assert!(server.event_ids(account).is_empty());
    }
    for life in 0..2 {
        let store = Arc::new(CheckpointDirectory::open(directory.path()).unwrap());
        for (n, account) in ACCOUNTS.into_iter().enumerate() {
            let token = format!("token-{n}");
            let client = client.with_tokens(AccessToken::new(&token).unwrap());
            let subscribed = client.subscribe(store.clone(), account, StartAt::Oldest);
            let mut subscription = in_time(started(subscribed)).await.unwrap();
            let log = server.event_ids(&token);
            let half = log.len() / 2;
            let came = follow(&mut subscription, half).await;
            assert_eq!(came, log[life * half..][..half], "{account}");
        }
    }
    let files = fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(
        files,
        ACCOUNTS.len() + 1,
        "all accounts share one lock file"
    );
}

#[tokio::test]
async fn a_directory_has_one_store_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = CheckpointDirectory::open(directory.path()).unwrap();
    let error = CheckpointDirectory::open(directory.path()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("in use"), "{text}");
    assert_eq!(error.path(), Some(store.path()));
    assert_eq!(store.load("nobody").await.unwrap(), None);
    drop(store);
    CheckpointDirectory::open(directory.path()).unwrap();

    let error = CheckpointDirectory::open(directory.path().join("missing")).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[tokio::test]
async fn damaged_checkpoint_stops_only_its_own_account() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(CheckpointDirectory::open(directory.path()).unwrap());
    fs::write(directory.path().join("checkpoint.bob"), "torn").unwrap();
    let client = client(&server);
    let mut streams = StreamMap::new();
    for account in ["ada", "bob"] {
        let updates = client.subscribe(store.clone(), account, StartAt::Oldest);
        streams.insert(account, updates);
    }
    let mut came = 0;
    let mut stopped = None;
    while came < 2 || stopped.is_none() {
        match in_time(streams.next()).await.unwrap() {
            (account, Err(error)) => stopped = Some((account, error)),
            (_, Ok(Update::Batch(batch))) => {
                came += batch.len();
                batch.ack().await.unwrap();
            }
            (_, Ok(_)) => {}
        }
    }
    let (account, error) = stopped.unwrap();
    assert_eq!((account, error.kind()), ("bob", ErrorKind::Checkpoint));
    let torn = fs::read_to_string(directory.path().join("checkpoint.bob"));
    assert_eq!(torn.unwrap(), "torn", "the damaged file is unchanged");
}
