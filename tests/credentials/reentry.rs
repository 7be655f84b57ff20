//! Tests of a program's own code that runs inside a token source, and needs a token itself.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use box_longpoll::TokenSource as _;
use box_longpoll::auth::RefreshedTokens;
use box_longpoll_testkit::{Endpoint, Fault};
use futures_util::FutureExt as _;
use tracing::subscriber::with_default;

use crate::grants::Grant;
use crate::world::{ORIGIN, World};

/// The time limit of a test whose failure is a deadlock.
const PATIENCE: Duration = Duration::from_secs(60);

/// A writer of the log that gets a token for each line, as one that sends its lines to Box does.
struct Uploader {
    tokens: RefreshedTokens,
    outcomes: mpsc::Sender<Option<bool>>,
}

impl io::Write for Uploader {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let outcome = self.tokens.token(None).now_or_never();
        let _ = self.outcomes.send(outcome.map(|token| token.is_ok()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn log_of_a_refresh_may_get_a_token_of_the_same_source() {
    let (sender, outcomes) = mpsc::channel();
    thread::spawn(move || {
        let world = World::new();
        let tokens = Grant::ServiceAccount.tokens(ORIGIN, String::new(), world.clone());
        world
            .emulator()
            .queue_fault(Endpoint::Token, Fault::Unavailable, 1);
        let in_the_log = tokens.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || Uploader {
                tokens: in_the_log.clone(),
                outcomes: sender.clone(),
            })
            .finish();
        with_default(subscriber, || {
            world.within(PATIENCE, async {
                tokens.token(None).await.unwrap_err();
                world.clock.wait(PATIENCE / 2).await;
                tokens.token(None).await.unwrap();
            });
        });
    });
    // The line about the failure gets the same error, and that about the new token gets it.
    for is_ok in [false, true] {
        let outcome = outcomes.recv_timeout(PATIENCE);
        assert_eq!(outcome, Ok(Some(is_ok)), "the log waits for its own token");
    }
}
