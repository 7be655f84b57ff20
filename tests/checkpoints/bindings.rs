//! Tests of checkpoints that belong to another account, stream type or API origin. A subscription
//! refuses them, names the difference, and leaves them unchanged.

use std::time::Duration;

use box_longpoll::checkpoint::{CheckpointFile, CheckpointStore};
use box_longpoll::config::StreamType;
use box_longpoll::{ErrorKind, StartAt};

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::store::Memory;
use crate::world::{ACCOUNT, build, checkpoint, checkpoint_of, client, in_time, started};

#[tokio::test]
async fn foreign_checkpoint_is_an_error_that_names_the_difference() {
    let server = fake_box(|_| ());
    let position = server.emulator().newest_position(TOKEN);
    let now = Duration::ZERO;
    let ours = checkpoint(&server, &position, now);
    let changes = checkpoint_of(server.origin(), "changes", &position, now);
    let elsewhere = checkpoint_of("https://api.box.com", "all", &position, now);
    for (found, key, words) in [
        (&ours, "bob", ["account", "\"ada\"", "\"bob\""]),
        (&changes, ACCOUNT, ["stream type", "\"changes\"", "\"all\""]),
        (
            &elsewhere,
            ACCOUNT,
            ["API origin", "\"https://api.box.com\"", server.origin()],
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("checkpoint");
        let store = CheckpointFile::open(&file).unwrap();
        store.save(found.account(), found).await.unwrap();
        drop(store);
        let before = std::fs::read(&file).unwrap();

        let store = CheckpointFile::open(&file).unwrap();
        let of_a_file = in_time(started(client(&server).subscribe(store, key, StartAt::Now)))
            .await
            .unwrap_err();
        assert!(
            of_a_file.display_chain().to_string().contains("checkpoint"),
            "{of_a_file}"
        );
        assert!(
            of_a_file
                .display_chain()
                .to_string()
                .contains(&*directory.path().to_string_lossy()),
            "{of_a_file}"
        );
        let in_memory = in_time(started(client(&server).subscribe(
            Memory::with(found),
            key,
            StartAt::Now,
        )))
        .await
        .unwrap_err();
        let place = format!("at {key:?}");
        assert!(
            in_memory.display_chain().to_string().contains(&place),
            "{in_memory}"
        );
        for error in [of_a_file, in_memory] {
            assert_eq!(error.kind(), ErrorKind::Checkpoint);
            for word in words {
                assert!(error.display_chain().to_string().contains(word), "{error}");
            }
        }
        assert_eq!(std::fs::read(&file).unwrap(), before, "it is left alone");
    }
    assert_eq!(server.counters().total.requests, 0);
}

#[tokio::test]
async fn file_belongs_to_one_account_and_stream_type() {
    let server = fake_box(|_| ());
    let directory = tempfile::tempdir().unwrap();
    let store = CheckpointFile::open(directory.path().join("checkpoint")).unwrap();
    let store = std::sync::Arc::new(store);
    let subscribe = |key, stream_type| {
        let client = build(builder(&server).stream_type(stream_type));
        let store = store.clone();
        async move { started(client.subscribe(store, key, StartAt::Now)).await }
    };
    let _ada = in_time(subscribe("ada", StreamType::All)).await.unwrap();
    let error = in_time(subscribe("bob", StreamType::All))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(
        error.display_chain().to_string().contains("\"ada\""),
        "{error}"
    );
    let error = in_time(subscribe("ada", StreamType::Sync))
        .await
        .unwrap_err();
    assert!(
        error.display_chain().to_string().contains("stream type"),
        "{error}"
    );
}
