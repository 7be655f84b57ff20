//! The health of the engine, for logs, statistics and metrics.
//!
//! This module extends [`LongPoll`] with the questions that its driver has at the end of a poll: the
//! failures that are retried, and whether the engine works again. It changes nothing but its own
//! notes. Start from [`LongPoll::works_since`].

use std::time::{Instant, SystemTime};

use super::LongPoll;
use super::state::{Pending, Phase, Scheduled};
use crate::clock::Moment;
use crate::status::Status;

impl LongPoll {
    /// Returns the status of a retry that was scheduled since the last call. A failure that is retried
    /// is returned even if it never was the status of the engine. It may be returned twice.
    pub(crate) fn take_retry(&mut self, now: Moment) -> Option<Status> {
        if let Some((until, reason)) = self.listener.take_new_pause() {
            return Some(Scheduled::at(until, reason, now).status());
        }
        let call = self.retry.take()?;
        let lane = self.lane(call);
        lane.has_failed().then(|| lane.status())
    }

    /// Returns the time since which nothing has failed, as far as is known: now, or the time at
    /// which the first good poll after a failure was sent. `None` if a call has failed and did not
    /// succeed since.
    pub(crate) fn works_since(&self, now: Moment) -> Option<Instant> {
        let poll = match &self.listening.phase {
            Phase::AwaitResponse {
                pending: Pending::Listen(poll),
                ..
            } => Some(poll),
            _ => None,
        };
        let calls_work = self.authorizer.works() && self.fetcher.works();
        calls_work
            .then(|| self.listener.works_since(poll, now))
            .flatten()
    }

    /// Returns `true` if a request waits for the pace.
    pub(crate) fn is_paced(&self) -> bool {
        self.fetching.is_paced() || (self.fetching.is_idle() && self.listening.is_paced())
    }

    /// Returns the time at which Box last had nothing after the position, if that was so when the
    /// last page arrived, and the consumer has handled all before.
    pub(crate) fn is_caught_up_at(&self) -> Option<SystemTime> {
        let caught_up_at = self.fetcher.caught_up_at?;
        (self.fetcher.page_came_at == Some(caught_up_at)).then_some(caught_up_at)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;

    use super::super::{Call, Input, Output};
    use super::*;
    use crate::auth::AccessToken;
    use crate::config::Config;
    use crate::position::StartAt;

    const PAGE: &str = r#"{"entries":[],"next_stream_position":"1"}"#;
    const SERVERS: &str =
        r#"{"entries":[{"url":"https://1.realtime.services.box.net/subscribe?channel=1"}]}"#;

    /// An engine whose time is that of the test.
    struct World {
        engine: LongPoll,
        now: Moment,
    }

    impl World {
        fn new() -> Self {
            let now = Moment::read_clocks();
            let config = Arc::new(Config::default());
            let engine = LongPoll::new(config, StartAt::Now, 1, now);
            Self { engine, now }
        }

        fn wait(&mut self, seconds: u64) {
            let time = Duration::from_secs(seconds);
            self.now.monotonic += time;
            self.now.wall += time;
        }

        /// Carries out outputs until a poll is open, and responds to all other requests.
        fn open_poll(&mut self) {
            loop {
                let input = match self.engine.poll_output(self.now) {
                    Output::GetToken { .. } => {
                        Input::Token(Ok(AccessToken::new("a-token").unwrap()))
                    }
                    Output::Send {
                        call: Call::Listen, ..
                    } => return,
                    Output::Send { call, .. } => {
                        let body = if call == Call::List { SERVERS } else { PAGE };
                        response(call, 200, body)
                    }
                    Output::WaitUntil(at) => {
                        self.now.wall = self.now.wall_at(at);
                        self.now.monotonic = at;
                        continue;
                    }
                    other => panic!("unexpected output: {other:?}"),
                };
                self.engine.handle_input(input, self.now);
            }
        }
    }

    fn response(call: Call, status: u16, body: &'static str) -> Input {
        let response = http::Response::builder().status(status);
        let result = Ok(response.body(Bytes::from_static(body.as_bytes())).unwrap());
        Input::Response { call, result }
    }

    #[test]
    fn held_poll_is_a_recovery_that_began_when_it_was_sent() {
        let mut world = World::new();
        world.open_poll();
        assert_eq!(
            world.engine.works_since(world.now),
            Some(world.now.monotonic)
        );
        let failed = response(Call::Listen, 503, "");
        world.engine.handle_input(failed, world.now);
        assert!(world.engine.take_retry(world.now).is_some());
        assert_eq!(world.engine.works_since(world.now), None);

        world.open_poll();
        let sent_at = world.now.monotonic;
        world.wait(9);
        assert_eq!(world.engine.works_since(world.now), None);
        world.wait(1);
        assert_eq!(world.engine.works_since(world.now), Some(sent_at));
    }

    #[test]
    fn engine_works_again_after_the_fetch_that_follows_a_failure() {
        let mut world = World::new();
        world.open_poll();
        world.wait(60);
        world.engine.handle_input(
            response(Call::Listen, 200, r#"{"message":"new_change"}"#),
            world.now,
        );
        while !world.engine.awaits(Call::Fetch) {
            if let Output::GetToken { .. } = world.engine.poll_output(world.now) {
                let token = AccessToken::new("a-token").unwrap();
                world
                    .engine
                    .handle_input(Input::Token(Ok(token)), world.now);
            }
        }
        world
            .engine
            .handle_input(response(Call::Fetch, 500, ""), world.now);
        assert!(world.engine.take_retry(world.now).is_some());
        assert_eq!(world.engine.take_retry(world.now), None);
        assert_eq!(world.engine.works_since(world.now), None);
        world.open_poll();
        assert_eq!(
            world.engine.works_since(world.now),
            Some(world.now.monotonic)
        );
    }
}
