//! [`Feed`]: the server-sent events of one reader of the page.
//!
//! An event of the type `events` has new rows, and one of the type `overview` has the numbers. A
//! reader that is slow gets fewer of them, and the newest rows. Nothing queues up for it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::{Stream, stream};
use jiff::Timestamp;
use tokio::select;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Interval, interval, sleep};

use super::overview::Overview;
use super::routes::{Site, json};
use super::server::LIFETIME;

/// The pause between two updates, so that many events come together.
const PAUSE: Duration = Duration::from_millis(200);

/// The time after which the numbers are compared with those that were sent last.
const CHECK: Duration = Duration::from_secs(1);

/// The time after which a reader connects again.
const RECONNECT: Duration = Duration::from_secs(1);

/// The events for one reader.
pub(super) struct Feed {
    site: Arc<Site>,
    written: watch::Receiver<u64>,
    /// The number of the last event that was sent.
    seen: u64,
    /// The numbers that were sent last.
    overview: String,
    ready: VecDeque<Event>,
    checks: Interval,
    ends: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    /// Returns the events for a reader. They end after some minutes, and the reader connects again.
    pub(super) fn of(
        site: Arc<Site>,
        permit: OwnedSemaphorePermit,
    ) -> impl Stream<Item = Result<Event, Infallible>> {
        let feed = Self {
            written: site.board.written(),
            site,
            seen: 0,
            overview: String::new(),
            ready: VecDeque::from([Event::default().retry(RECONNECT)]),
            checks: interval(CHECK),
            ends: Instant::now() + LIFETIME / 2,
            _permit: permit,
        };
        stream::unfold(feed, Self::next)
    }

    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        while self.ready.is_empty() {
            if self.overview.is_empty() {
                self.update();
                continue;
            }
            sleep(PAUSE).await;
            select! {
                _ = self.written.changed() => {}
                _ = self.checks.tick() => {}
            }
            if Instant::now() > self.ends {
                return None;
            }
            self.update();
        }
        Some((Ok(self.ready.pop_front()?), self))
    }

    /// Makes events of everything that is new.
    fn update(&mut self) {
        let overview = json(&Overview::of(&self.site));
        if overview != self.overview {
            let now = Timestamp::now().as_millisecond();
            self.send("overview", format!("[{now},{overview}]"));
            self.overview = overview;
        }
        let rows = self.site.board.rows_after(self.seen);
        if let Some(last) = rows.last() {
            self.seen = last.number;
            self.send("events", json(&rows));
        }
    }

    fn send(&mut self, kind: &str, json: String) {
        self.ready
            .push_back(Event::default().event(kind).data(json));
    }
}
