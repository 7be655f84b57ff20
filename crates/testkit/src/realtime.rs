//! Long polling: the list of realtime servers, and the polls on their channels.
//!
//! `OPTIONS /2.0/events` lists URLs, each with a channel. A poll on a channel is held until its
//! account changes or its time is up. This module also holds the requests that a fault never
//! completes. The events themselves are in `events_api`. Start from `Emulator::poll`.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::emulator::{Call, Emulator};
use crate::event::hex40;
use crate::page_query::Start;
use crate::stream_type::UserStream;
use crate::{Endpoint, FakeResponse, Fault, HoldId, Outcome, PollPosition, Reply, Request};

/// The greatest number of channels: 262,144, so that each of 15,000 callers can have several lists.
const MAX_CHANNELS: usize = 1 << 18;

/// The listed channels. Above [`MAX_CHANNELS`], the oldest are removed.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    by_id: HashMap<String, Channel>,
    /// The IDs of the channels, oldest first.
    oldest_first: VecDeque<String>,
}

/// A channel, on which a caller polls for the changes of one account.
#[derive(Debug)]
struct Channel {
    /// The key of the session that got the channel.
    caller: String,
    account: String,
    /// The stream whose events the channel signals.
    stream: UserStream,
    /// The number of polls so far.
    polls: u64,
}

impl Channels {
    /// Returns the caller who got the channel of a poll.
    pub(crate) fn caller(&self, request: &Request) -> Option<String> {
        let channel = self.by_id.get(request.query("channel")?.as_ref())?;
        Some(channel.caller.clone())
    }

    fn open(&mut self, id: String, channel: Channel) {
        self.oldest_first.push_back(id.clone());
        self.by_id.insert(id, channel);
        if self.oldest_first.len() > MAX_CHANNELS {
            self.oldest_first
                .pop_front()
                .map(|oldest| self.by_id.remove(&oldest));
        }
    }
}

/// A request that is held open.
#[derive(Debug)]
pub(crate) struct Hold {
    request: Request,
    endpoint: Endpoint,
    caller: Option<String>,
    /// The number of the request in the request log.
    record: u64,
    /// The change that ends the hold. `None` if the request never gets a response.
    listening: Option<Listening>,
    /// The fault that ends the hold, even without a change.
    ending: Option<Fault>,
}

impl Hold {
    /// Returns the time at which the hold ends if nothing happens before.
    fn until(&self) -> Option<Instant> {
        self.listening.as_ref().map(|listening| listening.until)
    }
}

/// The change for which a poll waits: an event of `stream` after the first `since` events of
/// `account`.
#[derive(Clone, Debug)]
struct Listening {
    account: String,
    stream: UserStream,
    since: u64,
    /// The time at which the poll ends without a change.
    until: Instant,
    /// `true` if the connection is then closed without a response.
    is_cut: bool,
}

impl Emulator {
    /// Responds to `OPTIONS /2.0/events`.
    pub(crate) fn realtime_servers(&mut self, call: &Call<'_>) -> FakeResponse {
        let caller = match self.admit(call) {
            Ok(caller) => caller.to_owned(),
            Err(refusal) => return refusal,
        };
        let stream = match self.listed_stream(call.request) {
            Ok(stream) => stream,
            Err(refusal) => return refusal,
        };
        let account = self
            .sessions
            .get(&caller)
            .map(|session| session.account.clone())
            .unwrap_or_default();
        let own = call.request.own_origin();
        let mut entries = Vec::new();
        for server in 0..self.settings.realtime_servers {
            let origins = &self.settings.realtime_origins;
            let origin = if origins.is_empty() {
                &own
            } else {
                &origins[server % origins.len()]
            };
            let id = &hex40(&mut self.rng)[..20];
            let name = stream.name();
            let url =
                format!("{origin}/realtime/{server}/subscribe?channel={id}&stream_type={name}");
            let channel = Channel {
                caller: caller.clone(),
                account: account.clone(),
                stream,
                polls: 0,
            };
            self.channels.open(id.into(), channel);
            entries.push(self.list_entry(url));
        }
        FakeResponse::json(
            200,
            json!({"chunk_size": entries.len(), "entries": entries}).to_string(),
        )
    }

    /// Returns the stream whose events the listed channels signal.
    fn listed_stream(&self, request: &Request) -> Result<UserStream, FakeResponse> {
        let stream_type = request.query("stream_type");
        if stream_type.is_some() && self.settings.options_rejects_stream_type {
            let context =
                json!({"errors": [{"reason": "invalid_parameter", "name": "stream_type"}]});
            return Err(FakeResponse::box_error(
                400,
                "bad_request",
                "Bad Request",
                &context,
            ));
        }
        let stream_type = stream_type.as_deref();
        UserStream::parse(stream_type).ok_or_else(|| {
            FakeResponse::invalid_parameter("stream_type", stream_type.unwrap_or_default())
        })
    }

    /// Makes the list's entry for a realtime server.
    fn list_entry(&self, url: String) -> Value {
        let settings = &self.settings;
        let mut entry = serde_json::Map::new();
        if settings.list_types {
            entry.insert("type".into(), "realtime_server".into());
        }
        entry.insert("url".into(), url.into());
        let numbers = [
            ("ttl", &settings.ttl),
            ("max_retries", &settings.max_retries),
            ("retry_timeout", &settings.retry_timeout),
        ];
        for (name, value) in numbers.into_iter().filter(|(_, value)| !value.is_null()) {
            entry.insert(name.into(), value.clone());
        }
        Value::Object(entry)
    }

    /// Responds to a poll, or holds it.
    pub(crate) fn poll(&mut self, call: &Call<'_>) -> Reply {
        let authorized = self.caller(call.request, call.now);
        let channel = call
            .request
            .query("channel")
            .and_then(|id| self.channels.by_id.get_mut(id.as_ref()));
        let Some(channel) = channel else {
            return Reply::Respond(
                FakeResponse::json(404, r#"{"error":"unknown channel"}"#).closing(),
            );
        };
        if self.settings.realtime_needs_token
            && authorized.is_none_or(|caller| caller != channel.caller)
        {
            return Reply::Respond(
                FakeResponse::unauthorized(!self.settings.empty_unauthorized).closing(),
            );
        }
        channel.polls += 1;
        if channel.polls > self.settings.polls_per_url() {
            let status = self.settings.max_retries_status;
            return Reply::Respond(self.signal(call.record, status, "max_retries"));
        }
        let (account, stream) = (channel.account.clone(), channel.stream);
        let since = match self.settings.poll_position {
            PollPosition::Honored => self
                .account(&account)
                .events_before(poll_start(call.request)),
            PollPosition::Ignored => self.account(&account).end(),
            PollPosition::AlwaysNewChange => {
                return Reply::Respond(self.signal(call.record, 200, "new_change"));
            }
        };
        let hold_ms = self.settings.hold_ms;
        let cut_after_ms = self.settings.cut_polls_after_ms;
        let ends_after_ms = cut_after_ms.map_or(hold_ms, |cut_ms| cut_ms.min(hold_ms));
        let listening = Listening {
            account,
            stream,
            since,
            until: call.now + Duration::from_millis(ends_after_ms),
            is_cut: cut_after_ms.is_some_and(|cut_ms| cut_ms < hold_ms),
        };
        if self.has_changed(&listening) {
            return Reply::Respond(self.signal(call.record, 200, "new_change"));
        }
        self.hold(call, Some(listening))
    }

    /// Holds a request until its client disconnects.
    pub(crate) fn hold_forever(&mut self, call: &Call<'_>) -> Reply {
        self.hold(call, None)
    }

    fn hold(&mut self, call: &Call<'_>, listening: Option<Listening>) -> Reply {
        let id = HoldId(self.next_hold);
        self.next_hold += 1;
        if call.endpoint == Endpoint::Realtime {
            self.traffic.poll_opened();
        }
        if let Some(listening) = &listening {
            self.account(&listening.account).listeners.insert(id);
        }
        let hold = Hold {
            request: call.request.clone(),
            endpoint: call.endpoint,
            caller: call.caller.clone(),
            record: call.record,
            listening,
            ending: None,
        };
        let until = hold.until();
        self.holds.insert(id, hold);
        Reply::Hold { id, until }
    }

    /// Returns `true` if the change for which a poll waits has happened and is signaled.
    fn has_changed(&self, listening: &Listening) -> bool {
        let account = self.accounts.get(&listening.account);
        !self.settings.drop_signals
            && account.is_some_and(|account| account.has_behind(listening.since, listening.stream))
    }

    /// Responds to a held request, or holds it further. Returns `None` if it is no longer held.
    pub fn resume(&mut self, id: HoldId, now: Instant) -> Option<Reply> {
        let hold = self.holds.get(&id)?;
        let listening = hold.listening.as_ref();
        let changed = listening.is_some_and(|listening| self.has_changed(listening));
        let timed_out = hold.until().is_some_and(|until| until <= now);
        if !changed && !timed_out && hold.ending.is_none() {
            return self.hold_on(id);
        }
        let is_cut = !changed && listening.is_some_and(|listening| listening.is_cut);
        let hold = self.release(id)?;
        let cut = is_cut.then_some(Fault::CloseBeforeHeaders);
        let reply = match hold.ending.or(cut) {
            Some(fault) => {
                self.request_log
                    .amend(hold.record, |record| record.fault = Some(fault.name()));
                let Hold {
                    ref request,
                    endpoint,
                    caller,
                    record,
                    ..
                } = hold;
                self.fail(
                    &Call {
                        request,
                        endpoint,
                        caller,
                        record,
                        now,
                    },
                    &fault,
                )
            }
            None => Reply::Respond(self.signal(
                hold.record,
                200,
                if changed { "new_change" } else { "reconnect" },
            )),
        };
        Some(self.finished(hold.record, reply, now))
    }

    /// Continues the hold of a request that has no response yet.
    fn hold_on(&mut self, id: HoldId) -> Option<Reply> {
        let hold = self.holds.get_mut(&id)?;
        if let Some(listening) = &mut hold.listening {
            let account = self.accounts.entry(listening.account.clone()).or_default();
            // A change of the account has removed its listeners.
            account.listeners.insert(id);
            if !self.settings.drop_signals {
                // None of these events belongs to the stream, so they need not be parsed again.
                listening.since = listening.since.max(account.end());
            }
        }
        Some(Reply::Hold {
            id,
            until: hold.until(),
        })
    }

    /// Removes a held request whose client has disconnected.
    pub fn hang_up(&mut self, id: HoldId) {
        if let Some(hold) = self.release(id) {
            self.request_log
                .amend(hold.record, |record| record.outcome = Outcome::HungUp);
        }
    }

    /// Returns the held requests to [resume](Self::resume) now, before their deadline. Each is
    /// returned once.
    pub fn take_ready(&mut self) -> Vec<HoldId> {
        std::mem::take(&mut self.ready)
    }

    /// Ends the open polls of one account or of all with a fault. Returns their number.
    pub fn interrupt_polls(&mut self, account: Option<&str>, fault: &Fault) -> usize {
        let mut interrupted = 0;
        for (id, hold) in &mut self.holds {
            let listening = hold.listening.as_ref();
            if listening
                .is_some_and(|listening| account.is_none_or(|account| account == listening.account))
            {
                hold.ending = Some(fault.clone());
                self.ready.push(*id);
                interrupted += 1;
            }
        }
        interrupted
    }

    /// Makes a response of a realtime server with this signal.
    pub(crate) fn signal(&mut self, record: u64, status: u16, message: &str) -> FakeResponse {
        self.request_log.amend(record, |record| {
            record.outcome = Outcome::Signaled(message.into());
        });
        let body = if self.settings.signal_version {
            json!({"version": 1, "message": message})
        } else {
            json!({"message": message})
        };
        FakeResponse::json(status, body.to_string()).closing()
    }

    /// Ends a hold.
    fn release(&mut self, id: HoldId) -> Option<Hold> {
        let hold = self.holds.remove(&id)?;
        if hold.endpoint == Endpoint::Realtime {
            self.traffic.poll_closed();
        }
        if let Some(listening) = &hold.listening {
            self.account(&listening.account).listeners.remove(&id);
        }
        Some(hold)
    }
}

/// Returns the position from which a poll listens.
fn poll_start(request: &Request) -> Start {
    match request.query("stream_position").as_deref() {
        None | Some("") => Start::Now,
        // If a realtime server can't read the position, it listens for new events.
        text => Start::parse(text).unwrap_or(Start::Now),
    }
}
