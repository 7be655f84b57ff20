//! A stream of batches, by either facade.
//!
//! Start at [`client`] or [`client_over`], which return a function that starts a stream.

use std::sync::Arc;
use std::time::Duration;

use box_longpoll::blocking::{Iter, Timed};
use box_longpoll::{
    AccessToken, Batch, BatchStream, Error, HttpTransport, LongPollClientBuilder, StartAt, Status,
    TokenSource,
};
use futures_lite::future::or;

use crate::backend::{Backend, Runtime};
use crate::fake_box::TOKEN;

/// The API by which a test uses the client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Facade {
    Async,
    Blocking,
}

/// A running stream.
pub(crate) trait Follower: Send {
    /// Returns the next item, or `None` if `wait` elapses first.
    fn next_within(&mut self, wait: Duration) -> Option<Result<Batch, Error>>;

    fn resume_at(&self) -> StartAt;

    fn status(&self) -> Status;
}

/// A client, as a function that starts a stream.
pub(crate) type Follow = Box<dyn Fn(StartAt) -> Box<dyn Follower> + Send>;

/// Returns a client with a new transport of the backend.
pub(crate) fn client(backend: Backend, facade: Facade, builder: LongPollClientBuilder) -> Follow {
    let token = Arc::new(AccessToken::new(TOKEN).unwrap());
    client_over(backend, facade, builder, backend.transport(), token)
}

/// Returns a client over a given transport, with given tokens. The backend determines the runtime.
pub(crate) fn client_over(
    backend: Backend,
    facade: Facade,
    builder: LongPollClientBuilder,
    transport: Arc<dyn HttpTransport>,
    tokens: Arc<dyn TokenSource>,
) -> Follow {
    match facade {
        Facade::Async => {
            let client = builder.build(transport.clone(), tokens).unwrap();
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
            let client = builder.build_blocking(transport, tokens).unwrap();
            Box::new(move |start| Box::new(client.batches(start)))
        }
    }
}

/// A stream of the async facade, on a runtime.
struct Polled {
    stream: BatchStream<Arc<dyn HttpTransport>>,
    transport: Arc<dyn HttpTransport>,
    runtime: Arc<Runtime>,
}

impl Follower for Polled {
    fn next_within(&mut self, wait: Duration) -> Option<Result<Batch, Error>> {
        let next = async {
            Some(
                self.stream
                    .next()
                    .await
                    .expect("a stream ends only after an error"),
            )
        };
        let elapsed = async {
            self.transport.sleep(wait).await.unwrap();
            None
        };
        self.runtime.block_on(or(next, elapsed))
    }

    fn resume_at(&self) -> StartAt {
        self.stream.resume_at()
    }

    fn status(&self) -> Status {
        self.stream.status()
    }
}

impl Follower for Iter<Batch> {
    fn next_within(&mut self, wait: Duration) -> Option<Result<Batch, Error>> {
        match self.next_timeout(wait) {
            Timed::Item(item) => Some(item),
            Timed::Elapsed => None,
            Timed::Ended => panic!("the stream ended without an error"),
        }
    }

    fn resume_at(&self) -> StartAt {
        self.resume_at()
    }

    fn status(&self) -> Status {
        self.status()
    }
}
