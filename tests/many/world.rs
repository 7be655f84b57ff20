//! Helpers for tests with many accounts at a fake Box.

use std::future::Future;
use std::sync::Arc;

use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, LongPollClient, LongPollClientBuilder};
use box_longpoll_testkit::{Emulator, EmulatorServer};

use crate::fake_box::{PATIENCE, TOKEN};

pub(crate) type Client = LongPollClient<ReqwestTransport>;

pub(crate) fn build(builder: LongPollClientBuilder) -> Client {
    builder
        .build(ReqwestTransport::new().unwrap(), token(TOKEN))
        .unwrap()
}

pub(crate) fn token(text: &str) -> AccessToken {
    AccessToken::new(text).unwrap()
}

/// Returns the name of an account, which is also its token.
pub(crate) fn account(n: usize) -> String {
    format!("account-{n}")
}

/// Returns the output of a future. Panics if it takes too long.
#[track_caller]
pub(crate) fn in_time<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        tokio::time::timeout(PATIENCE, work)
            .await
            .unwrap_or_else(|_| panic!("{caller}: nothing came in {PATIENCE:?}"))
    }
}

/// Waits until a condition holds for the emulator. Panics if that takes too long.
#[track_caller]
pub(crate) fn holds<F>(server: &Arc<EmulatorServer>, holds: F) -> impl Future<Output = ()> + use<F>
where
    F: FnMut(&Emulator) -> bool + Send + 'static,
{
    let caller = std::panic::Location::caller();
    let server = Arc::clone(server);
    async move {
        let held = tokio::task::spawn_blocking(move || server.wait_until(PATIENCE, holds)).await;
        assert!(
            held.unwrap(),
            "{caller}: the condition did not hold in time"
        );
    }
}
