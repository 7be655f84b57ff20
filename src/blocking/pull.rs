//! A stream that takes turns: each is a call of it on the client's thread.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;

use crate::auth::TokenSource;
use crate::blocking::worker::{Call, Worker};
use crate::error::Error;
use crate::stream::StreamHandle;

/// What came of waiting for an item for a limited time.
#[derive(Clone, Debug)]
#[must_use]
pub enum Timed<I> {
    /// The next item.
    Item(I),
    /// Nothing came in time. What was under way goes on: ask again.
    Elapsed,
    /// The iterator has ended.
    Ended,
}

impl<I> Timed<I> {
    pub(crate) fn into_option(self) -> Option<I> {
        match self {
            Self::Item(item) => Some(item),
            Self::Elapsed | Self::Ended => None,
        }
    }
}

/// A stream of one of the iterators.
pub(crate) struct Pull<S: Stream> {
    worker: Arc<Worker>,
    handle: StreamHandle,
    tokens: Arc<dyn TokenSource>,
    state: State<S>,
}

/// Who has the stream.
enum State<S: Stream> {
    /// The consumer, who has yet to ask.
    Idle(Box<S>),
    /// The client's thread, which gives it back.
    Running(Call<Given<S>>),
    Done,
}

/// The stream, given back with its next item.
type Given<S> = (Box<S>, Option<<S as Stream>::Item>);

impl<S, I> Pull<S>
where
    S: Stream<Item = Result<I, Error>> + Unpin + Send + 'static,
    I: Send + 'static,
{
    pub(crate) fn new(
        worker: Arc<Worker>,
        handle: StreamHandle,
        tokens: Arc<dyn TokenSource>,
        stream: S,
    ) -> Self {
        Self {
            worker,
            handle,
            tokens,
            state: State::Idle(Box::new(stream)),
        }
    }

    pub(crate) fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    pub(crate) fn handle(&self) -> &StreamHandle {
        &self.handle
    }

    /// The next item, if one comes in time.
    pub(crate) fn advance(&mut self, timeout: Option<Duration>) -> Timed<Result<I, Error>> {
        let call = match mem::replace(&mut self.state, State::Done) {
            State::Done => return Timed::Ended,
            State::Running(call) => call,
            State::Idle(mut stream) => {
                if let Err(error) = self.worker.start() {
                    self.handle.fail(&error);
                    return Timed::Item(Err(error));
                }
                let begun = self.worker.begin(async move {
                    let item = poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await;
                    (stream, item)
                });
                match begun {
                    Ok(call) => call,
                    Err(error) => return Timed::Item(Err(error)),
                }
            }
        };
        let outcome = match timeout {
            None => Some(call.wait()),
            Some(timeout) => call.wait_for(timeout),
        };
        match outcome {
            None => {
                self.state = State::Running(call);
                Timed::Elapsed
            }
            // It came after the consumer had waited, and was told to stop before the consumer asked again.
            Some(Ok((_, Some(Ok(_))))) if self.handle.is_stopped() => Timed::Ended,
            Some(Ok((stream, Some(item)))) => {
                self.state = State::Idle(stream);
                Timed::Item(item)
            }
            Some(Ok((_, None))) => Timed::Ended,
            Some(Err(error)) => Timed::Item(Err(error)),
        }
    }
}

/// What its token source has under way goes on, on the client's thread.
impl<S: Stream> Drop for Pull<S> {
    fn drop(&mut self) {
        let tokens = self.tokens.clone();
        self.worker.finish(async move { tokens.flush().await });
    }
}
