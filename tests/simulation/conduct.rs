//! How a stream may behave towards Box: what each request must carry, where it may go, and when.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use box_longpoll::ErrorKind;
use box_longpoll::protocol::CLOCK_CHECK_INTERVAL;
use box_longpoll::transport::TransportErrorKind;
use box_longpoll_testkit::Endpoint;

use crate::climate::{Climate, Consumer, Start};
use crate::exchange::{
    Asked, Body, Outcome, Place, channel_of, is_from_box, position_text, retry_after,
};
use crate::ledger::Ledger;
use crate::scenario::What;

/// The shortest pause after a failure.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// A poll that was held for so long and then cut is followed at once.
const HELD: Duration = Duration::from_secs(10);

/// What is known of the running stream from what it asked and was told.
#[derive(Default)]
pub(crate) struct Conduct {
    starts_at: String,
    /// The positions that it was given.
    positions: HashSet<String>,
    rejected_tokens: HashSet<String>,
    /// Whether a token came of a refresh.
    refreshed_tokens: HashSet<String>,
    no_newer_token: bool,
    must_stop: Option<ErrorKind>,
    /// What else it had to stop with when a batch was dropped: either will do.
    was_to_stop: Option<ErrorKind>,
    /// The endpoint at which a kept connection may have died under the last request.
    may_be_resent: Option<Endpoint>,
    last_rejected: Option<String>,
    lists: u32,
    oldest_list: u32,
    channels: HashMap<String, Channel>,
    /// Until when Box asked to be left alone.
    pub(crate) api_not_before: Duration,
    /// Until when a failed call lets the next one wait at least.
    call_not_before: Duration,
    hosts_not_before: HashMap<String, Duration>,
    poll_not_before: Duration,
    token_not_before: Duration,
    before: Option<Place>,
    page_moved: bool,
    /// When the wall clock went another way than the monotonic one.
    clocks_jumped: Option<Duration>,
    /// Whether the page that has just come proves that there was nothing more.
    page_proves: Option<bool>,
}

/// A realtime URL that was listed.
struct Channel {
    list: u32,
    listed: Duration,
    polls: u64,
    given_up: bool,
}

impl Conduct {
    /// A stream that starts at a stored position, or where the climate says.
    pub(crate) fn of_new_stream(stored: Option<&str>, climate: &Climate) -> Self {
        let starts_at = match (stored, climate.start) {
            (Some("oldest"), _) | (None, Start::Oldest) => "0",
            (Some(position), _) => position,
            (None, Start::Now) => "now",
        };
        Self {
            starts_at: starts_at.to_owned(),
            ..Self::default()
        }
    }

    /// Checks a request that is about to be sent.
    pub(crate) fn sent(
        &mut self,
        asked: &Asked,
        ledger: &Ledger,
        climate: &Climate,
        now: Duration,
    ) -> Result<Place, String> {
        if let Some(kind) = self.must_stop {
            return Err(format!("it went on after {kind:?}"));
        }
        if climate.enterprise && asked.endpoint != Endpoint::Events {
            return Err("a realtime server was asked for, or asked, for an enterprise".into());
        }
        if asked.endpoint != Endpoint::Options {
            self.check_position(asked, ledger, climate)?;
        }
        let may_be_resent = self.may_be_resent.take() == Some(asked.endpoint);
        if asked.fresh_connection && !may_be_resent {
            return Err("it wanted a connection of its own for nothing".into());
        }
        if asked.fresh_connection {
            self.call_not_before = Duration::ZERO;
            self.poll_not_before = Duration::ZERO;
        }
        if asked.endpoint == Endpoint::Realtime {
            self.check_poll(asked, climate, now)
        } else {
            self.check_call(asked, now)
        }
    }

    fn check_call(&self, asked: &Asked, now: Duration) -> Result<Place, String> {
        if (asked.scheme.as_str(), asked.host.as_str()) != ("https", "api.box.com") {
            return Err(format!("an API call went to {}", asked.host));
        }
        let Some(token) = &asked.token else {
            return Err("an API call went without a token".into());
        };
        if self.rejected_tokens.contains(token) {
            return Err("a token that was rejected was sent again".into());
        }
        if now < self.api_not_before {
            return Err(format!("it called before {:?}", self.api_not_before));
        }
        if now < self.call_not_before && !self.may_know_of_a_sleep(now) {
            return Err("it called without a pause after a failed call".into());
        }
        Ok(match asked.endpoint {
            Endpoint::Options => Place::Listing,
            _ => self.before.unwrap_or(Place::FirstFetch),
        })
    }

    /// A position is one that the stream was given, and leaves nothing behind.
    fn check_position(
        &self,
        asked: &Asked,
        ledger: &Ledger,
        climate: &Climate,
    ) -> Result<(), String> {
        let Some(position) = asked.position.as_deref() else {
            return Err(format!("{:?} was asked without a position", asked.endpoint));
        };
        if position == self.starts_at && self.positions.is_empty() {
            return match position {
                "now" if asked.endpoint == Endpoint::Realtime => {
                    Err("it listened with `now`".into())
                }
                "now" | "0" => Ok(()),
                stored => ledger.check_covered(stored),
            };
        }
        if position != self.starts_at && !self.positions.contains(position) {
            return Err(format!("{position} was never given to this stream"));
        }
        match position {
            "now" => Err("it went back to `now`".into()),
            "0" => Ok(()),
            // It asks for more before all is acknowledged.
            position if climate.consumer == Consumer::Subscription => {
                ledger.check_delivered(position)
            }
            position => ledger.check_covered(position),
        }
    }

    fn check_poll(
        &mut self,
        asked: &Asked,
        climate: &Climate,
        now: Duration,
    ) -> Result<Place, String> {
        if asked.token.is_some() {
            return Err("a realtime server got the token".into());
        }
        if asked.scheme != "https" || !asked.host.ends_with(".realtime.services.box.net") {
            return Err(format!("it polled {}://{}", asked.scheme, asked.host));
        }
        if now < self.poll_not_before && !self.may_know_of_a_sleep(now) {
            return Err("it polled without a pause after a failed poll".into());
        }
        if self
            .hosts_not_before
            .get(&asked.host)
            .is_some_and(|until| now < *until)
        {
            return Err(format!("it polled {} before its Retry-After", asked.host));
        }
        let channel = asked
            .channel
            .as_ref()
            .and_then(|channel| self.channels.get_mut(channel))
            .ok_or("it polled a URL that was not listed")?;
        if channel.list < self.oldest_list {
            return Err("it polled a URL of an old list".into());
        }
        if channel.given_up {
            return Err("it polled a URL again that had failed".into());
        }
        let ttl = Duration::from_secs(60 * climate.ttl_minutes);
        if climate.ttl_minutes > 0 && now >= channel.listed + ttl {
            return Err("it polled a URL after its ttl".into());
        }
        channel.polls += 1;
        if channel.polls > climate.max_retries.max(1) {
            return Err("it polled a URL more often than max_retries".into());
        }
        Ok(if channel.polls == 1 {
            Place::FirstPoll
        } else {
            Place::NextPoll
        })
    }

    /// Takes note of what the stream is told. Gives the position that `now` was resolved to.
    pub(crate) fn answered(
        &mut self,
        asked: &Asked,
        outcome: &Outcome,
        met: Option<&What>,
        held: Duration,
        now: Duration,
    ) -> Option<String> {
        let interrupted = matches!(outcome, Err(TransportErrorKind::Interrupted));
        self.may_be_resent = (interrupted && !asked.fresh_connection).then_some(asked.endpoint);
        let status = outcome.as_ref().map_or(0, |answer| answer.status);
        let body = outcome
            .as_ref()
            .ok()
            .filter(|answer| {
                (200..300).contains(&answer.status) || asked.endpoint == Endpoint::Realtime
            })
            .and_then(|answer| Body::read(&answer.body));
        if let (Some(What::Answer(fault)), true) = (met, outcome.is_ok()) {
            let until = now + Duration::from_secs(retry_after(fault));
            if asked.endpoint == Endpoint::Realtime {
                self.hosts_not_before.insert(asked.host.clone(), until);
            } else {
                self.api_not_before = self.api_not_before.max(until);
            }
        }
        if asked.endpoint == Endpoint::Realtime {
            self.polled(asked, outcome, body.as_ref(), held, now);
            return None;
        }
        let from_box = || outcome.as_ref().is_ok_and(is_from_box);
        match status {
            401 if from_box() => {
                self.last_rejected.clone_from(&asked.token);
                self.rejected_tokens.extend(asked.token.clone());
                return None;
            }
            // Something on the way said so. A newer token is tried at once, and the same one may be tried later.
            401 => return None,
            403 if from_box() => self.must_stop = Some(ErrorKind::Forbidden),
            400 if from_box() && asked.endpoint == Endpoint::Events => {
                self.must_stop = Some(match asked.position.as_deref() {
                    Some("0" | "now") => ErrorKind::ParameterRejected,
                    _ => ErrorKind::PositionRejected,
                });
            }
            _ => {}
        }
        match (asked.endpoint, body) {
            (Endpoint::Events, Some(page)) if page.is_page() => {
                self.before = Some(Place::LookingAgain);
                let given = outcome
                    .as_ref()
                    .ok()
                    .and_then(|answer| position_text(&answer.body));
                self.page_moved = given.is_some() && given != asked.position;
                let events = page.entries().map_or(0, |entries| entries.len());
                let from_now = asked.position.as_deref() == Some("now");
                self.page_proves = if from_now && given.is_none() {
                    None
                } else {
                    // Events without a position say nothing of what lies behind them.
                    let is_short = asked.limit.is_some_and(|limit| events < limit as usize);
                    Some(is_short && (given.is_some() || events == 0))
                };
                let resolved = given.clone().filter(|_| from_now);
                self.positions.extend(given);
                return resolved;
            }
            (Endpoint::Options, Some(list))
                if list.entries().is_some() || list.number("chunk_size") == Some(0) =>
            {
                self.before = Some(Place::WithoutServer);
                self.listed(&list, now);
            }
            (endpoint, _) => {
                self.before = Some(match endpoint {
                    Endpoint::Options => Place::WithoutServer,
                    _ => Place::AfterFailedFetch,
                });
                self.call_not_before = now + SHORTEST_PAUSE;
            }
        }
        None
    }

    fn listed(&mut self, list: &Body<'_>, now: Duration) {
        self.lists += 1;
        self.oldest_list = self.lists;
        for entry in list.entries().into_iter().flatten() {
            let url = Body::read(entry.get().as_bytes()).and_then(|entry| entry.text("url"));
            let channel = url.as_deref().and_then(channel_of);
            let listed = Channel {
                list: self.lists,
                listed: now,
                polls: 0,
                given_up: false,
            };
            self.channels
                .extend(channel.map(|channel| (channel, listed)));
        }
    }

    fn polled(
        &mut self,
        asked: &Asked,
        outcome: &Outcome,
        body: Option<&Body<'_>>,
        held: Duration,
        now: Duration,
    ) {
        let status = outcome.as_ref().ok().map(|answer| answer.status);
        match body.and_then(|body| body.text("message")).as_deref() {
            Some("new_change") => self.before = Some(Place::AfterSignal),
            Some("reconnect" | "max_retries") => {
                self.before = Some(Place::AfterSignal);
                self.oldest_list = self.lists + 1;
            }
            _ => {
                self.before = Some(Place::AfterFailedPoll);
                if held >= HELD && was_cut(outcome) {
                    return;
                }
                self.poll_not_before = now + SHORTEST_PAUSE;
                match status {
                    Some(300..500) => self.oldest_list = self.lists + 1,
                    None | Some(500..) if self.may_be_resent.is_none() => self.give_up(asked),
                    _ => {}
                }
            }
        }
    }

    /// The poll was given up as silent.
    pub(crate) fn fell_silent(&mut self, asked: &Asked, is_silence: bool, now: Duration) {
        self.may_be_resent = None;
        self.before = Some(match asked.endpoint {
            Endpoint::Realtime => Place::AfterSilence,
            Endpoint::Options => Place::WithoutServer,
            _ => Place::AfterFailedFetch,
        });
        if asked.endpoint == Endpoint::Realtime {
            if is_silence {
                self.give_up(asked);
            }
        } else if !self.may_know_of_a_sleep(now) {
            self.call_not_before = now + SHORTEST_PAUSE;
        }
    }

    /// The machine has slept, as far as its clocks tell.
    pub(crate) fn clocks_jumped(&mut self, now: Duration) {
        self.clocks_jumped = Some(now);
    }

    /// Whether the stream may have learned just now that the machine has slept: it drops what is under way, then, and
    /// waits for nothing but what it was asked to.
    pub(crate) fn may_know_of_a_sleep(&self, now: Duration) -> bool {
        self.clocks_jumped
            .is_some_and(|at| now <= at + CLOCK_CHECK_INTERVAL)
    }

    fn give_up(&mut self, asked: &Asked) {
        if let Some(channel) = asked
            .channel
            .as_ref()
            .and_then(|name| self.channels.get_mut(name))
        {
            channel.given_up = true;
        }
    }

    /// The page that came last had an event. Whether that counts as new: one without an id does where the position moved.
    pub(crate) fn brought_new(&mut self, events_with_ids: bool) -> bool {
        let brought_new = events_with_ids || self.page_moved;
        if brought_new {
            self.before = Some(Place::CatchingUp);
        }
        brought_new
    }

    /// Whether a page has just come.
    pub(crate) fn has_a_page(&self) -> bool {
        self.page_proves.is_some()
    }

    /// Whether a page has just come after which there was nothing more. It is asked once.
    pub(crate) fn has_caught_up(&mut self) -> bool {
        self.page_proves.take() == Some(true)
    }

    /// A batch was dropped without an acknowledgement.
    pub(crate) fn dropped_a_batch(&mut self) {
        let otherwise = self.must_stop.replace(ErrorKind::Unacknowledged);
        self.was_to_stop = self.was_to_stop.or(otherwise);
    }

    pub(crate) fn must_stop(&self) -> Option<ErrorKind> {
        self.must_stop
    }

    /// Checks a question to the token source.
    pub(crate) fn asked_for_token(&self, now: Duration) -> Result<(), String> {
        if now < self.token_not_before && !self.may_know_of_a_sleep(now) {
            return Err("the token source was asked again without a pause".into());
        }
        Ok(())
    }

    pub(crate) fn told_no_token(&mut self, for_good: bool, now: Duration) {
        if for_good {
            self.no_newer_token = true;
        } else {
            self.token_not_before = now + SHORTEST_PAUSE;
        }
    }

    pub(crate) fn refreshed(&mut self, token: &str) {
        self.refreshed_tokens.insert(token.to_owned());
    }

    /// Checks the error that a stream stopped with.
    pub(crate) fn stopped(&self, kind: ErrorKind) -> Result<(), String> {
        let twice_rejected = self
            .last_rejected
            .as_ref()
            .is_some_and(|token| self.refreshed_tokens.contains(token));
        let rightly = match kind {
            ErrorKind::Unauthorized => self.no_newer_token || twice_rejected,
            // No fault lasts for an hour.
            ErrorKind::PageUndecodable => false,
            kind => [self.must_stop, self.was_to_stop].contains(&Some(kind)),
        };
        if rightly {
            Ok(())
        } else {
            Err(format!("it stopped with {kind:?}"))
        }
    }

    /// When the last server that asked to be left alone may be asked again.
    pub(crate) fn silenced_until(&self) -> Duration {
        let hosts = self.hosts_not_before.values().copied();
        hosts.max().unwrap_or_default().max(self.api_not_before)
    }
}

/// Whether something on the way ended a poll: the server neither refused it nor said anything.
fn was_cut(outcome: &Outcome) -> bool {
    match outcome {
        Ok(answer) => {
            let asks_for_rest = answer
                .headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
            match answer.status {
                200..300 => true,
                408 | 500.. => !asks_for_rest,
                _ => false,
            }
        }
        Err(kind) => matches!(
            kind,
            TransportErrorKind::Interrupted | TransportErrorKind::Body
        ),
    }
}
