//! What stays on the disk.

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

/// All files of a directory, by name and content.
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
fn neither_a_checkpoint_nor_one_that_is_half_written_holds_a_secret() {
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

        // The rename fails, and what was written before it stays behind.
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

        // By now the channel is known, and polled.
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
