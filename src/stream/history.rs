//! The past of an enterprise's events, read in parallel slices.
//!
//! A [`History`] cuts a range of time into slices, and reads each as a query with an engine of its
//! own. It hands out their pages in order: all of one slice, then all of the next. Pages of later
//! slices wait, up to a limit, in the form in which they came over the network, which is usually
//! compressed. It does not remove the repeats between slices;
//! [`SinceState`](super::since::SinceState) does.

mod plan;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use self::plan::{PageSize, Plan, Unread};
use super::driver::{Driver, Step};
use crate::api::Api;
use crate::clock::Moment;
use crate::config::{Config, HistorySettings};
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::limiter::Pacer;
use crate::position::{SlicePoint, StartAt};
use crate::protocol::events_of;
use crate::status::Status;
use crate::telemetry::Telemetry;
use crate::transport::{HttpTransport, ReceivedBody};

/// The memory that waiting pages may take, as they came over the network: 24 MiB. That is about 250
/// pages if Box compresses them. Above that, only the first slice reads on, and a page in flight is
/// still kept.
const WINDOW: usize = 24 * 1024 * 1024;

/// The number of pages of the first slice that may wait, even if there is no room left.
const FIRST_SLICE_PAGES: usize = 2;

/// Reads the past, up to a time before the present.
pub(super) struct History<T: HttpTransport> {
    shared: Slices<T>,
    plan: Plan,
    rng: fastrand::Rng,
    /// The slices that are not handed out yet, in order.
    slices: VecDeque<Slice<T>>,
}

/// The parts that all slices of a history share.
pub(super) struct Slices<T: HttpTransport> {
    pub(super) api: Arc<Api<T>>,
    pub(super) settings: HistorySettings,
    pub(super) pacer: Arc<Pacer>,
    pub(super) telemetry: Arc<Telemetry>,
}

/// A part of the past, which is read by an engine of its own.
struct Slice<T: HttpTransport> {
    range: Range<Timestamp>,
    driver: Driver<T>,
    /// The time up to which the slice is read. `None` if an earlier run has read its beginning, and
    /// no page has come yet.
    reached: Option<Timestamp>,
    /// `true` if Box has refused a position, and the slice is read from its beginning again.
    was_refused: bool,
    /// The pages that were read and not handed out yet.
    pages: VecDeque<WaitingPage>,
    /// The outcome, once the slice is read.
    outcome: Option<Result<(), Error>>,
}

/// A page that was read and waits as it came.
struct WaitingPage {
    body: ReceivedBody,
    end: StartAt,
    size: PageSize,
}

/// The next part of a history.
pub(super) enum Part {
    /// The events of a page, which still include the repeats of other slices, and the end of the
    /// page if Box has named it.
    Page(Vec<Event>, Option<SlicePoint>),
    /// A slice is handed out, up to this time.
    Slice(Timestamp),
    /// Reading stops with this error.
    Stop(Error),
    /// Everything up to the requested end is handed out.
    Ended,
}

impl<T: HttpTransport> History<T> {
    /// Creates a history that begins at `start`, in full seconds, or in the middle of the slice
    /// that begins there.
    pub(super) fn new(
        shared: Slices<T>,
        start: Timestamp,
        resume_at: Option<SlicePoint>,
        rng: fastrand::Rng,
    ) -> Self {
        let mut history = Self {
            plan: Plan::new(
                start,
                shared.api.config.page_limit,
                shared.settings.parallel(),
            ),
            shared,
            rng,
            slices: VecDeque::new(),
        };
        if let Some(SlicePoint { until, position }) = resume_at.filter(|at| at.until > start) {
            history.plan.resume_after(until);
            let mut slice = history.slice(start..until, position.into());
            slice.reached = None;
            history.slices.push_back(slice);
        }
        history
    }

    /// Reads on, and returns the next part. The history ends at `end`, which moves on with time.
    pub(super) fn poll(&mut self, end: Timestamp, cx: &mut Context<'_>) -> Poll<Part> {
        loop {
            self.read_on(end, cx);
            if self.slices.iter().any(Slice::is_getting_token) {
                // Nobody polls the token source while the consumer works on a page.
                return Poll::Pending;
            }
            let Some(first) = self.slices.front_mut() else {
                return Poll::Ready(Part::Ended);
            };
            if let Some(page) = first.pages.pop_front() {
                return Poll::Ready(first.open(page));
            }
            match first.outcome.take() {
                None => return Poll::Pending,
                Some(Err(error))
                    if !first.was_refused && error.kind() == ErrorKind::PositionRejected =>
                {
                    let range = first.range.clone();
                    let again = self.slice(range, StartAt::Oldest);
                    self.slices[0] = Slice {
                        was_refused: true,
                        ..again
                    };
                }
                Some(Err(error)) => return Poll::Ready(Part::Stop(error)),
                Some(Ok(())) => {
                    let reached = first.range.end;
                    self.slices.pop_front();
                    return Poll::Ready(Part::Slice(reached));
                }
            }
        }
    }

    /// Returns the status of the first slice that waits after a failure.
    pub(super) fn trouble(&self) -> Option<Status> {
        let mut statuses = self.slices.iter().map(|slice| slice.driver.engine.status());
        statuses.find(|status| matches!(status, Status::Retrying { .. } | Status::Degraded { .. }))
    }

    /// Returns the time since which no slice has failed: see [`LongPoll::works_since`].
    ///
    /// [`LongPoll::works_since`]: crate::protocol::LongPoll::works_since
    pub(super) fn works_since(&self, now: Moment) -> Option<Instant> {
        let mut slices = self.slices.iter();
        let work = slices.all(|slice| slice.driver.engine.works_since(now).is_some());
        work.then_some(now.monotonic)
    }

    /// Cuts the slices that are due, and reads all of them until no room is left.
    fn read_on(&mut self, end: Timestamp, cx: &mut Context<'_>) {
        let mut room = self.room();
        let mut place = 0;
        loop {
            if place == self.slices.len() && !self.begin_slice(end, room) {
                return;
            }
            let slice = &mut self.slices[place];
            slice.read_on(&mut room, place == 0, &mut self.plan, cx);
            if place > 0 && self.cut_again(place) {
                room = self.room();
            } else {
                place += 1;
            }
        }
    }

    /// Returns the number of bytes for which the window has room.
    fn room(&self) -> usize {
        WINDOW.saturating_sub(self.slices.iter().map(Slice::waiting).sum())
    }

    /// Replaces a slice that is too long by a shorter one, and drops those after it. Returns `true` if
    /// it did. The slice is not the first one, so nothing of it was handed out.
    fn cut_again(&mut self, place: usize) -> bool {
        let slice = &self.slices[place];
        let sizes = slice.pages.iter().rev().map(|page| &page.size);
        let dropped = self.slices.range(place..).map(|slice| slice.pages.len());
        let Some(end) = self.plan.cut_again(slice.rest(), sizes, dropped.sum()) else {
            return false;
        };
        let start = slice.range.start;
        self.slices.truncate(place);
        let slice = self.slice(start..end, StartAt::Oldest);
        self.slices.push_back(slice);
        true
    }

    /// Begins the next slice, if there is one, and room for it.
    fn begin_slice(&mut self, end: Timestamp, room: usize) -> bool {
        let reading = self.slices.iter().filter(|slice| slice.outcome.is_none());
        if reading.count() >= self.shared.settings.parallel() || room == 0 {
            return false;
        }
        let unread = Unread {
            last: self.slices.back().map(Slice::unread).unwrap_or_default(),
            all: self.slices.iter().map(Slice::unread).sum(),
        };
        let Some(range) = self.plan.cut(end, unread) else {
            return false;
        };
        let slice = self.slice(range, StartAt::Oldest);
        self.slices.push_back(slice);
        true
    }

    /// Creates a slice that is read from `start` on.
    fn slice(&mut self, range: Range<Timestamp>, start: StartAt) -> Slice<T> {
        let Slices {
            api,
            settings,
            pacer,
            telemetry,
        } = &self.shared;
        let stream_kind = &api.config.stream_kind;
        let config = Config {
            stream_kind: stream_kind.slice(settings.calls, range.clone()),
            // The stream applies the filter when it hands out a page.
            filter: Arc::default(),
            read_ahead: 0,
            ..Config::clone(&api.config)
        };
        let api = Arc::new(api.with_pacer(config, pacer.clone()));
        Slice {
            reached: Some(range.start),
            range,
            driver: Driver::of_slice(api, start, self.rng.u64(..), telemetry.clone()),
            was_refused: false,
            pages: VecDeque::new(),
            outcome: None,
        }
    }
}

impl<T: HttpTransport> Slice<T> {
    /// Returns the number of bytes that the waiting pages take.
    fn waiting(&self) -> usize {
        self.pages.iter().map(|page| page.body.len()).sum()
    }

    fn is_getting_token(&self) -> bool {
        self.driver.engine.is_getting_token()
    }

    /// Reads pages until no room is left for them.
    fn read_on(&mut self, room: &mut usize, is_first: bool, plan: &mut Plan, cx: &mut Context<'_>) {
        while self.outcome.is_none()
            && (*room > 0
                || (is_first && self.pages.len() < FIRST_SLICE_PAGES)
                || self.is_getting_token())
        {
            self.driver.confirm_handled();
            match self.driver.poll_step(cx) {
                Poll::Pending => return,
                Poll::Ready(Step::Moved) => {}
                Poll::Ready(Step::Deliver(batch)) => {
                    let (events, period) = (batch.len(), self.reach_last(&batch));
                    let end = batch.resume_at();
                    if let Some(body) = batch.into_page() {
                        let size = plan.saw(events, body.len(), period);
                        *room = room.saturating_sub(body.len());
                        self.pages.push_back(WaitingPage { body, end, size });
                    }
                }
                Poll::Ready(Step::Stop(error)) => self.outcome = Some(Err(error)),
                Poll::Ready(Step::Ended) => {
                    plan.saw_nothing(self.rest());
                    self.outcome = Some(Ok(()));
                }
            }
        }
    }

    /// Returns the part of the slice after its latest page.
    fn rest(&self) -> Range<Timestamp> {
        self.reached.unwrap_or(self.range.start)..self.range.end
    }

    /// Returns the time that is left to read.
    fn unread(&self) -> SignedDuration {
        match self.outcome {
            Some(_) => SignedDuration::ZERO,
            None => self.rest().end.duration_since(self.rest().start),
        }
    }

    /// Notes that a page is read. Returns the time that it covers. Events out of order make it longer
    /// or shorter, and the next pages make up for that.
    fn reach_last(&mut self, page: &[Event]) -> Range<Timestamp> {
        let from = self
            .reached
            .or_else(|| page.first()?.created_at())
            .unwrap_or(self.range.start)
            .min(self.range.end);
        let last = page.last().and_then(Event::created_at);
        let reached = last.map_or(from, |last| last.clamp(from, self.range.end));
        self.reached = Some(reached);
        from..reached
    }

    /// Decompresses and reads a page again.
    fn open(&self, page: WaitingPage) -> Part {
        let body = page.body.inflate().ok();
        let end = page.end.position().map(|position| SlicePoint {
            until: self.range.end,
            position: position.clone(),
        });
        match body.and_then(|body| events_of(&body)) {
            Some(events) => Part::Page(events, end),
            None => Part::Stop(Error::new(
                ErrorKind::PageUndecodable,
                "a page that was kept in memory can't be read again",
            )),
        }
    }
}
