//! A stream of batches, by either facade.

use std::sync::Arc;
use std::time::Duration;

use box_longpoll::blocking::{BatchIter, Timed};
use box_longpoll::{
    AccessToken, Batch, BatchStream, Error, HttpTransport, LongPollClientBuilder, StartAt,
    StreamPosition,
};
use futures_lite::future::or;

use crate::backend::{Backend, Runtime};
use crate::fake_box::TOKEN;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Facade {
    Async,
    Blocking,
}

pub(crate) trait Follower {
    /// What comes in time. `None`: nothing.
    fn next_within(&mut self, wait: Duration) -> Option<Result<Batch, Error>>;

    fn position(&self) -> Option<StreamPosition>;
}

/// A client, as what begins a stream.
pub(crate) fn client(
    backend: Backend,
    facade: Facade,
    builder: LongPollClientBuilder,
) -> Box<dyn Fn(StartAt) -> Box<dyn Follower>> {
    let (transport, token) = (backend.transport(), AccessToken::new(TOKEN).unwrap());
    match facade {
        Facade::Async => {
            let client = builder.build(transport.clone(), token).unwrap();
            let runtime = Arc::new(backend.runtime());
            Box::new(move |start| {
                Box::new(Polled {
                    stream: client.batches(start),
                    transport: transport.clone(),
                    runtime: runtime.clone(),
                })
            })
        }
        Facade::Blocking => {
            let client = builder.build_blocking(transport, token).unwrap();
            Box::new(move |start| Box::new(client.batches(start)))
        }
    }
}

struct Polled {
    stream: BatchStream<Arc<dyn HttpTransport>>,
    transport: Arc<dyn HttpTransport>,
    runtime: Arc<Runtime>,
}

impl Follower for Polled {
    fn next_within(&mut self, wait: Duration) -> Option<Result<Batch, Error>> {
        let next = async { Some(self.stream.next().await.expect("an error before the end")) };
        let elapsed = async {
            self.transport.sleep(wait).await.unwrap();
            None
        };
        self.runtime.block_on(or(next, elapsed))
    }

    fn position(&self) -> Option<StreamPosition> {
        self.stream.position().cloned()
    }
}

impl Follower for BatchIter<Arc<dyn HttpTransport>> {
    fn next_within(&mut self, wait: Duration) -> Option<Result<Batch, Error>> {
        match self.next_timeout(wait) {
            Timed::Item(item) => Some(item),
            Timed::Elapsed => None,
            Timed::Ended => panic!("an end without an error"),
        }
    }

    fn position(&self) -> Option<StreamPosition> {
        self.position()
    }
}
