//! The blocking client's iterator in a program that has more to wait for.

use std::sync::{Arc, Mutex};

use box_longpoll::blocking::Iter;
use box_longpoll::{Batch, Error, StreamHandle};
use tokio::task::{JoinHandle, spawn_blocking};

type Item = Option<Result<Batch, Error>>;

/// Asks for each batch on a thread where waiting does no harm.
pub(crate) struct BlockingBatches {
    batches: Arc<Mutex<Iter<Batch>>>,
    handle: StreamHandle,
    /// The call that is under way, whether anybody waits for it or not.
    call: Option<JoinHandle<Item>>,
}

impl BlockingBatches {
    pub(crate) fn new(batches: Iter<Batch>) -> Self {
        Self {
            handle: batches.handle(),
            batches: Arc::new(Mutex::new(batches)),
            call: None,
        }
    }

    pub(crate) async fn next(&mut self) -> Item {
        let batches = &self.batches;
        let call = self.call.get_or_insert_with(|| {
            let batches = batches.clone();
            spawn_blocking(move || batches.lock().expect("a call panicked").next())
        });
        let item = call.await.expect("the call panicked");
        self.call = None;
        item
    }

    pub(crate) fn handle(&self) -> StreamHandle {
        self.handle.clone()
    }
}
