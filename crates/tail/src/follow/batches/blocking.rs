//! [`BlockingBatches`]: the blocking client's iterator, for a program that also waits for Ctrl-C.
//!
//! The iterator blocks its thread, so each call runs on a thread of tokio's pool. The main loop
//! awaits it together with everything else.

use std::sync::{Arc, Mutex};

use box_longpoll::blocking::Iter;
use box_longpoll::{Batch, Error, StreamHandle};
use tokio::task::{JoinHandle, spawn_blocking};

type Item = Option<Result<Batch, Error>>;

/// The batches of a blocking client, each awaited on a thread that may block.
pub(in crate::follow) struct BlockingBatches {
    batches: Arc<Mutex<Iter<Batch>>>,
    handle: StreamHandle,
    /// The running call, even if its future was dropped: the next call of `next` continues it.
    call: Option<JoinHandle<Item>>,
}

impl BlockingBatches {
    pub(super) fn new(batches: Iter<Batch>) -> Self {
        Self {
            handle: batches.handle(),
            batches: Arc::new(Mutex::new(batches)),
            call: None,
        }
    }

    /// Returns the next batch. No batch is lost if you drop the future.
    pub(super) async fn next(&mut self) -> Item {
        let batches = &self.batches;
        let call = self.call.get_or_insert_with(|| {
            let batches = batches.clone();
            spawn_blocking(move || batches.lock().expect("a call panicked").next())
        });
        let item = call.await.expect("the call panicked");
        self.call = None;
        item
    }

    pub(super) fn handle(&self) -> StreamHandle {
        self.handle.clone()
    }
}
