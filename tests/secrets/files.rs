//! Tests that no file on the disk holds a secret, even if a save fails.

#![cfg(feature = "reqwest")]

use std::fs;
use std::path::Path;

use box_longpoll::checkpoint::CheckpointFile;
use box_longpoll::{Delivery, HttpTransport, StartAt, Subscription, Update};
use box_longpoll_testkit::Endpoint;
use futures_lite::future::or;

use crate::backend::Backend;
use crate::canary::{TOKEN, assert_hidden, list, said, token};
use crate::fake_box::{PATIENCE, builder, fake_box};

async fn next_batch<T: HttpTransport>(updates: &mut Subscription<T>) -> Delivery {
    loop {
        match updates.next().await.unwrap().unwrap() {
            Update::Started(_) => {}
            Update::Batch(batch) => return batch,
            other => panic!("{other:?}"),
        }
    }
}

/// Returns the paths and contents of all files in a directory.
fn contents(directory: &Path) -> String {
    let mut contents = String::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = fs::read(&path).unwrap();
            contents += &format!("{}: {}\n", path.display(), text.escape_ascii());
        }
    }
    contents
}

#[test]
fn checkpoint_and_its_unfinished_file_hold_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    let server = fake_box(|settings| settings.hold_ms = 20);
    server.append(TOKEN, 4);
    server.queue_fault(Endpoint::Options, list(&server), 3);
    let client = builder(&server)
        .page_limit(2)
        .build(Backend::Reqwest.transport(), token())
        .unwrap();
    Backend::Reqwest.runtime().block_on(async {
        let store = CheckpointFile::open(&path).unwrap();
        let mut updates = client.subscribe(store, "ada", StartAt::Oldest);
        let first = next_batch(&mut updates).await;
        let second = next_batch(&mut updates).await;
        first.ack().await.unwrap();
        let written = contents(directory.path());
        assert!(written.contains("last_success"), "{written}");
        assert_hidden("a checkpoint's files", &written);

        // The rename fails, and the new file stays behind.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = second.ack().await.unwrap_err();
        let written = contents(directory.path());
        assert!(
            written.contains("checkpoint.new: box-longpoll"),
            "{written}"
        );
        assert_hidden("a checkpoint's files", &written);
        assert_hidden("an error", &said(&error));

        // Then the client gets to know the channel, and polls it.
        let polled = smol::unblock(move || {
            assert!(
                server.wait_until(PATIENCE, |emulator| emulator.counters().realtime.requests
                    > 0)
            );
            None
        });
        let nothing = or(updates.next(), polled).await;
        assert!(nothing.is_none(), "{nothing:?}");
        assert_hidden("a checkpoint's files", &contents(directory.path()));
    });
}
