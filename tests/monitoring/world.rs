//! A client of a fake Box, on one thread.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{
    AccessToken, BatchStream, HttpTransport, LongPollClient, LongPollClientBuilder, Subscription,
};
use box_longpoll_testkit::{Emulator, EmulatorServer};

use crate::fake_box::{PATIENCE, TOKEN};

pub(crate) type Client = LongPollClient<ReqwestTransport>;

/// Runs work on this thread, for at most [`PATIENCE`].
pub(crate) fn block_on<W: Future>(work: W) -> W::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let in_time = async { tokio::time::timeout(PATIENCE, work).await };
    runtime.block_on(in_time).expect("the test ends in time")
}

pub(crate) fn build(builder: LongPollClientBuilder) -> Client {
    builder
        .build(
            ReqwestTransport::new().unwrap(),
            AccessToken::new(TOKEN).unwrap(),
        )
        .unwrap()
}

/// A stream that is driven until a condition holds.
pub(crate) trait Driven {
    /// Polls the stream. Returns `true` if it has delivered an item.
    fn poll_once(&mut self) -> impl Future<Output = bool>;
}

impl<T: HttpTransport> Driven for BatchStream<T> {
    async fn poll_once(&mut self) -> bool {
        in_a_moment(self.next()).await
    }
}

impl<T: HttpTransport> Driven for Subscription<T> {
    async fn poll_once(&mut self) -> bool {
        in_a_moment(self.next()).await
    }
}

async fn in_a_moment(next: impl Future) -> bool {
    let moment = Duration::from_millis(5);
    tokio::time::timeout(moment, next).await.is_ok()
}

/// Drives an idle stream until the condition holds.
pub(crate) async fn idle_until<S: Driven>(stream: &mut S, mut holds: impl FnMut(&S) -> bool) {
    while !holds(stream) {
        assert!(!stream.poll_once().await, "unexpected item");
    }
}

/// Drives an idle stream until the condition holds for the emulator.
pub(crate) async fn until(
    stream: &mut impl Driven,
    server: &Arc<EmulatorServer>,
    mut holds: impl FnMut(&Emulator) -> bool,
) {
    idle_until(stream, |_| holds(&server.emulator())).await;
}
