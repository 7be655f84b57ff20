//! The rules for a stream's behavior toward Box.
//!
//! They say which parts each request must carry, to which host it may go, and when. They also say
//! which errors make a stream stop. The checks know only the requests and responses of the stream,
//! not its internal state. The number of requests is checked in `budget`, and the meaning of
//! positions in `ledger`. Start at [`Conduct::check_request`] and [`Conduct::note_outcome`].

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use box_longpoll::ErrorKind;
use box_longpoll::protocol::CLOCK_CHECK_INTERVAL;
use box_longpoll::transport::TransportErrorKind;
use box_longpoll_testkit::Endpoint;

use crate::climate::{Climate, Start};
use crate::exchange::{
    Body, Outcome, Phase, RequestFacts, channel_of, is_from_box, position_text, retry_after,
};
use crate::ledger::Ledger;
use crate::scenario::What;

/// The shortest pause after a failure: the first retry comes after a tenth to a half of 0.5 s.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// If a poll was held for at least this time and then cut, the next request may follow at once,
/// because a middlebox with an idle timeout ended the poll and no server has failed.
const HELD: Duration = Duration::from_secs(10);

/// The facts about the running stream that follow from its requests and their responses.
#[derive(Default)]
pub(crate) struct Conduct {
    /// The position of the first request.
    starts_at: String,
    /// The positions that the server gave to the stream.
    positions: HashSet<String>,
    rejected_tokens: HashSet<String>,
    /// The tokens that a refresh returned.
    refreshed_tokens: HashSet<String>,
    /// `true` if the token source has no newer token to offer.
    no_newer_token: bool,
    /// The error with which the stream must stop.
    must_stop: Option<ErrorKind>,
    /// The error with which the stream already had to stop when a batch was dropped. Then either
    /// error is accepted.
    was_to_stop: Option<ErrorKind>,
    /// The endpoints at which a kept connection may have died under the last request.
    may_be_resent: HashSet<Endpoint>,
    /// The token that Box rejected last.
    last_rejected: Option<String>,
    /// The number of server lists that the stream got.
    lists: u32,
    /// The oldest list whose URLs the stream may still poll.
    oldest_list: u32,
    channels: HashMap<String, Channel>,
    /// The end of Box's last `Retry-After` for API calls.
    pub(crate) api_not_before: Duration,
    /// The ends of the shortest pauses after a failed call, for lists and for fetches.
    calls_not_before: HashMap<Endpoint, Duration>,
    /// The end of each realtime host's last `Retry-After`.
    hosts_not_before: HashMap<String, Duration>,
    /// The end of the shortest pause after a failed poll.
    poll_not_before: Duration,
    /// The end of the shortest pause after a failed call of the token source.
    token_not_before: Duration,
    /// The phase of the next page request.
    next_fetch: Option<Phase>,
    /// The last time at which the wall clock jumped, but the monotonic one didn't.
    clocks_jumped: Option<Duration>,
}

/// A page that the client accepts.
pub(crate) struct PageFacts {
    /// The texts of its events.
    pub(crate) events: Vec<String>,
    /// `true` if it moves the position.
    pub(crate) moves: bool,
    /// `true` if it proves that nothing follows.
    pub(crate) is_last: bool,
    /// The position to which the server resolved `now`.
    pub(crate) resolved: Option<String>,
}

/// A realtime URL that was listed.
struct Channel {
    /// The number of its list.
    list: u32,
    listed: Duration,
    polls: u64,
    /// `true` if a poll failed or was silent, so that the stream must not use the URL again.
    given_up: bool,
}

impl Conduct {
    /// Returns the rules for a new stream, which starts at a stored position, or else at the
    /// climate's start.
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

    /// Checks a request that is about to be sent, and returns its phase of the protocol.
    pub(crate) fn check_request(
        &mut self,
        facts: &RequestFacts,
        ledger: &Ledger,
        climate: &Climate,
        now: Duration,
    ) -> Result<Phase, String> {
        if let Some(kind) = self.must_stop {
            return Err(format!("it continued after {kind:?}"));
        }
        if climate.enterprise && facts.endpoint != Endpoint::Events {
            return Err("a stream of an enterprise listed or polled realtime servers".into());
        }
        if facts.endpoint != Endpoint::Options {
            self.check_position(facts, ledger)?;
        }
        let may_be_resent = self.may_be_resent.remove(&facts.endpoint);
        if facts.fresh_connection && !may_be_resent {
            return Err("it requested a fresh connection without a reason".into());
        }
        if facts.fresh_connection {
            self.calls_not_before.remove(&facts.endpoint);
            if facts.endpoint == Endpoint::Realtime {
                self.poll_not_before = Duration::ZERO;
            }
        }
        if facts.endpoint == Endpoint::Realtime {
            self.check_poll(facts, climate, now)
        } else {
            self.check_call(facts, now)
        }
    }

    fn check_call(&self, facts: &RequestFacts, now: Duration) -> Result<Phase, String> {
        if (facts.scheme.as_str(), facts.host.as_str()) != ("https", "api.box.com") {
            return Err(format!("an API call went to {}", facts.host));
        }
        let Some(token) = &facts.token else {
            return Err("an API call went without a token".into());
        };
        if self.rejected_tokens.contains(token) {
            return Err("a token that was rejected was sent again".into());
        }
        if now < self.api_not_before {
            return Err(format!(
                "it called the API before {:?}",
                self.api_not_before
            ));
        }
        let not_before = self.calls_not_before.get(&facts.endpoint);
        if not_before.is_some_and(|until| now < *until) && !self.may_know_of_a_sleep(now) {
            return Err("it called the API without a pause after a failed call".into());
        }
        Ok(match facts.endpoint {
            Endpoint::Options => Phase::Listing,
            _ => self.next_fetch.unwrap_or(Phase::FirstFetch),
        })
    }

    /// Checks that the server gave this position to the stream, and that the position skips no
    /// event.
    fn check_position(&self, facts: &RequestFacts, ledger: &Ledger) -> Result<(), String> {
        let Some(position) = facts.position.as_deref() else {
            return Err(format!("a request to {:?} has no position", facts.endpoint));
        };
        if position == self.starts_at && self.positions.is_empty() {
            return match position {
                "now" if facts.endpoint == Endpoint::Realtime => Err("it polled with `now`".into()),
                "now" | "0" => Ok(()),
                stored => ledger.check_covered(stored),
            };
        }
        if position != self.starts_at && !self.positions.contains(position) {
            return Err(format!("{position} was never given to this stream"));
        }
        match position {
            "now" => Err("it returned to `now`".into()),
            // A page is read ahead, so the position may be that of a page that was not delivered.
            position => ledger.check_received(position),
        }
    }

    fn check_poll(
        &mut self,
        facts: &RequestFacts,
        climate: &Climate,
        now: Duration,
    ) -> Result<Phase, String> {
        if facts.token.is_some() {
            return Err("a realtime server got the token".into());
        }
        if facts.scheme != "https" || !facts.host.ends_with(".realtime.services.box.net") {
            return Err(format!("it polled {}://{}", facts.scheme, facts.host));
        }
        if now < self.poll_not_before && !self.may_know_of_a_sleep(now) {
            return Err("it polled without a pause after a failed poll".into());
        }
        if self
            .hosts_not_before
            .get(&facts.host)
            .is_some_and(|until| now < *until)
        {
            return Err(format!("it polled {} before its Retry-After", facts.host));
        }
        let channel = facts
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
            Phase::FirstPoll
        } else {
            Phase::NextPoll
        })
    }

    /// Notes the outcome of a request. Returns the page that it is.
    pub(crate) fn note_outcome(
        &mut self,
        facts: &RequestFacts,
        outcome: &Outcome,
        met: Option<&What>,
        held: Duration,
        now: Duration,
    ) -> Option<PageFacts> {
        let interrupted = matches!(outcome, Err(TransportErrorKind::Interrupted));
        if interrupted && !facts.fresh_connection {
            self.may_be_resent.insert(facts.endpoint);
        } else {
            self.may_be_resent.remove(&facts.endpoint);
        }
        let status = outcome.as_ref().map_or(0, |response| response.status);
        let body = outcome
            .as_ref()
            .ok()
            .filter(|response| {
                (200..300).contains(&response.status) || facts.endpoint == Endpoint::Realtime
            })
            .and_then(|response| Body::read(&response.body));
        if let (Some(What::Response(fault)), true) = (met, outcome.is_ok()) {
            let until = now + Duration::from_secs(retry_after(fault));
            if facts.endpoint == Endpoint::Realtime {
                self.hosts_not_before.insert(facts.host.clone(), until);
            } else {
                self.api_not_before = self.api_not_before.max(until);
            }
        }
        if facts.endpoint == Endpoint::Realtime {
            self.polled(facts, outcome, body.as_ref(), held, now);
            return None;
        }
        let from_box = || outcome.as_ref().is_ok_and(is_from_box);
        match status {
            401 if from_box() => {
                self.last_rejected.clone_from(&facts.token);
                self.rejected_tokens.extend(facts.token.clone());
                return None;
            }
            // A middlebox sent this response. The client tries a newer token at once, and may try
            // the same one later.
            401 => return None,
            403 if from_box() => self.must_stop = Some(ErrorKind::Forbidden),
            400 if from_box() && facts.endpoint == Endpoint::Events => {
                self.must_stop = Some(match facts.position.as_deref() {
                    Some("0" | "now") => ErrorKind::ParameterRejected,
                    _ => ErrorKind::PositionRejected,
                });
            }
            _ => {}
        }
        match (facts.endpoint, body) {
            (Endpoint::Events, Some(page)) if page.is_page() => {
                let given = outcome
                    .as_ref()
                    .ok()
                    .and_then(|response| position_text(&response.body));
                let from_now = facts.position.as_deref() == Some("now");
                if from_now && given.is_none() {
                    self.next_fetch = Some(Phase::AfterFailedFetch);
                    return None;
                }
                let events = page.entries().unwrap_or_default();
                // Events without a position don't show whether more events follow.
                let is_short = facts
                    .limit
                    .is_some_and(|limit| events.len() < limit as usize);
                let facts = PageFacts {
                    moves: given.is_some() && given != facts.position,
                    is_last: is_short && (given.is_some() || events.is_empty()),
                    resolved: given.clone().filter(|_| from_now),
                    events: events.iter().map(|event| event.get().to_owned()).collect(),
                };
                self.positions.extend(given);
                return Some(facts);
            }
            (Endpoint::Options, Some(list))
                if list.entries().is_some() || list.number("chunk_size") == Some(0) =>
            {
                self.next_fetch = Some(Phase::WithoutServer);
                self.listed(&list, now);
            }
            (endpoint, _) => {
                self.next_fetch = Some(match endpoint {
                    Endpoint::Options => Phase::WithoutServer,
                    _ => Phase::AfterFailedFetch,
                });
                self.calls_not_before.insert(endpoint, now + SHORTEST_PAUSE);
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
        facts: &RequestFacts,
        outcome: &Outcome,
        body: Option<&Body<'_>>,
        held: Duration,
        now: Duration,
    ) {
        let status = outcome.as_ref().ok().map(|response| response.status);
        match body.and_then(|body| body.text("message")).as_deref() {
            Some("new_change") => self.next_fetch = Some(Phase::AfterSignal),
            Some("reconnect" | "max_retries") => {
                self.next_fetch = Some(Phase::AfterSignal);
                self.oldest_list = self.lists + 1;
            }
            _ => {
                self.next_fetch = Some(Phase::AfterFailedPoll);
                if held >= HELD && was_cut(outcome) {
                    return;
                }
                self.poll_not_before = now + SHORTEST_PAUSE;
                match status {
                    Some(300..500) => self.oldest_list = self.lists + 1,
                    None | Some(500..) if !self.may_be_resent.contains(&facts.endpoint) => {
                        self.give_up(facts);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Notes that the client gave up a request without an outcome. `is_silence`: the complete
    /// timeout had passed.
    pub(crate) fn fell_silent(&mut self, facts: &RequestFacts, is_silence: bool, now: Duration) {
        self.may_be_resent.remove(&facts.endpoint);
        self.next_fetch = Some(match facts.endpoint {
            Endpoint::Realtime => Phase::AfterSilence,
            Endpoint::Options => Phase::WithoutServer,
            _ => Phase::AfterFailedFetch,
        });
        if facts.endpoint == Endpoint::Realtime {
            if is_silence {
                self.give_up(facts);
            }
        } else if !self.may_know_of_a_sleep(now) {
            let until = now + SHORTEST_PAUSE;
            self.calls_not_before.insert(facts.endpoint, until);
        }
    }

    /// Notes that the clocks show a jump, as after a suspension of the machine.
    pub(crate) fn clocks_jumped(&mut self, now: Duration) {
        self.clocks_jumped = Some(now);
    }

    /// Notes that the stream is not polled from `now` to `until`, so it notices no suspension.
    pub(crate) fn rests(&mut self, now: Duration, until: Duration) {
        if self.may_know_of_a_sleep(now) {
            self.clocks_jumped = Some(until);
        }
    }

    /// Returns `true` if the stream may just have noticed that the machine was suspended. Then it
    /// drops all requests in flight, and skips every pause except for a `Retry-After`.
    pub(crate) fn may_know_of_a_sleep(&self, now: Duration) -> bool {
        self.clocks_jumped
            .is_some_and(|at| now <= at + CLOCK_CHECK_INTERVAL)
    }

    /// Notes that the stream must not poll this URL again.
    fn give_up(&mut self, facts: &RequestFacts) {
        if let Some(channel) = facts
            .channel
            .as_ref()
            .and_then(|name| self.channels.get_mut(name))
        {
            channel.given_up = true;
        }
    }

    /// Notes whether the last page brought new events.
    pub(crate) fn page_came(&mut self, brought_new: bool) {
        self.next_fetch = Some(if brought_new {
            Phase::CatchingUp
        } else {
            Phase::AfterFruitlessPage
        });
    }

    /// Notes that a batch was dropped without an acknowledgement.
    pub(crate) fn dropped_a_batch(&mut self) {
        let otherwise = self.must_stop.replace(ErrorKind::Unacknowledged);
        self.was_to_stop = self.was_to_stop.or(otherwise);
    }

    pub(crate) fn must_stop(&self) -> Option<ErrorKind> {
        self.must_stop
    }

    /// Checks a call of the token source.
    pub(crate) fn check_token_call(&self, now: Duration) -> Result<(), String> {
        if now < self.token_not_before && !self.may_know_of_a_sleep(now) {
            return Err("the token source was called again without a pause".into());
        }
        Ok(())
    }

    /// Notes that the token source gave no token.
    pub(crate) fn got_no_token(&mut self, permanently: bool, now: Duration) {
        if permanently {
            self.no_newer_token = true;
        } else {
            self.token_not_before = now + SHORTEST_PAUSE;
        }
    }

    /// Notes the token that a refresh returned.
    pub(crate) fn refreshed(&mut self, token: &str) {
        self.refreshed_tokens.insert(token.to_owned());
    }

    /// Returns `true` if the stream may stop, and drop its requests.
    pub(crate) fn may_stop(&self) -> bool {
        self.must_stop.is_some() || self.is_unauthorized()
    }

    /// Returns `true` if there is no newer token, or if the newer one was rejected too.
    fn is_unauthorized(&self) -> bool {
        let rejected = self.last_rejected.as_ref();
        self.no_newer_token || rejected.is_some_and(|token| self.refreshed_tokens.contains(token))
    }

    /// Checks the error that a stream stopped with.
    pub(crate) fn stopped(&self, kind: ErrorKind) -> Result<(), String> {
        let rightly = match kind {
            ErrorKind::Unauthorized => self.is_unauthorized(),
            // The client gives up an undecodable page after an hour. No fault lasts that long.
            ErrorKind::PageUndecodable => false,
            kind => [self.must_stop, self.was_to_stop].contains(&Some(kind)),
        };
        if rightly {
            Ok(())
        } else {
            Err(format!("it stopped with {kind:?}"))
        }
    }

    /// Returns the end of the last `Retry-After` of any host.
    pub(crate) fn silenced_until(&self) -> Duration {
        let hosts = self.hosts_not_before.values().copied();
        hosts.max().unwrap_or_default().max(self.api_not_before)
    }
}

/// Returns `true` if a middlebox ended a poll: the server neither refused it nor sent a signal.
fn was_cut(outcome: &Outcome) -> bool {
    match outcome {
        Ok(response) => {
            let has_retry_after = response
                .headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
            match response.status {
                200..300 => true,
                408 | 500.. => !has_retry_after,
                _ => false,
            }
        }
        Err(kind) => matches!(
            kind,
            TransportErrorKind::Interrupted | TransportErrorKind::Body
        ),
    }
}
