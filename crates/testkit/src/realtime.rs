use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::account::Start;
use crate::emulator::{Call, Emulator};
use crate::event::hex40;
use crate::stream_type::UserStream;
use crate::{Answer, Endpoint, Fault, HoldId, Outcome, PollPosition, Reply, Request};

/// Room for several lists for each of 15,000 callers.
const MOST_CHANNELS: usize = 1 << 18;

/// The channels that were given out. The oldest are forgotten when there are too many.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    by_id: HashMap<String, Channel>,
    oldest_first: VecDeque<String>,
}

#[derive(Debug)]
struct Channel {
    caller: String,
    account: String,
    /// The channel signals the events of this stream.
    stream: UserStream,
    polls: u64,
}

impl Channels {
    /// Whose channel a poll is on.
    pub(crate) fn caller(&self, request: &Request) -> Option<String> {
        let channel = self.by_id.get(request.query("channel")?.as_ref())?;
        Some(channel.caller.clone())
    }

    fn open(&mut self, id: String, channel: Channel) {
        self.oldest_first.push_back(id.clone());
        self.by_id.insert(id, channel);
        if self.oldest_first.len() > MOST_CHANNELS {
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
    record: u64,
    until: Option<Instant>,
    /// `None` where nothing is listened for: the request will never be answered.
    listening: Option<Listening>,
    /// How the hold is to end, whatever it listens for.
    ending: Option<Fault>,
}

#[derive(Clone, Debug)]
struct Listening {
    account: String,
    /// An event of this stream is a change if it comes after the first `since` events.
    stream: UserStream,
    since: u64,
}

impl Emulator {
    /// Answers `OPTIONS /2.0/events`.
    pub(crate) fn realtime_servers(&mut self, call: &Call<'_>) -> Answer {
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
        Answer::json(
            200,
            json!({"chunk_size": entries.len(), "entries": entries}).to_string(),
        )
    }

    /// Returns the stream that the listed servers are to signal.
    fn listed_stream(&self, request: &Request) -> Result<UserStream, Answer> {
        let stream_type = request.query("stream_type");
        if stream_type.is_some() && self.settings.options_rejects_stream_type {
            let context =
                json!({"errors": [{"reason": "invalid_parameter", "name": "stream_type"}]});
            return Err(Answer::box_error(
                400,
                "bad_request",
                "Bad Request",
                &context,
            ));
        }
        let stream_type = stream_type.as_deref();
        UserStream::parse(stream_type).ok_or_else(|| {
            Answer::invalid_parameter("stream_type", stream_type.unwrap_or_default())
        })
    }

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

    /// Answers a poll, or holds it.
    pub(crate) fn poll(&mut self, call: &Call<'_>) -> Reply {
        let authorized = self.caller(call.request, call.now);
        let channel = call
            .request
            .query("channel")
            .and_then(|id| self.channels.by_id.get_mut(id.as_ref()));
        let Some(channel) = channel else {
            return Reply::Answer(Answer::json(404, r#"{"error":"unknown channel"}"#).closing());
        };
        if self.settings.realtime_needs_token
            && authorized.is_none_or(|caller| caller != channel.caller)
        {
            return Reply::Answer(
                Answer::unauthorized(!self.settings.empty_unauthorized).closing(),
            );
        }
        channel.polls += 1;
        if channel.polls > self.settings.polls_per_url() {
            let status = self.settings.max_retries_status;
            return Reply::Answer(self.signal(call.record, status, "max_retries"));
        }
        let (account, stream) = (channel.account.clone(), channel.stream);
        let since = match self.settings.poll_position {
            PollPosition::Honoured => self
                .account(&account)
                .events_before(poll_start(call.request)),
            PollPosition::Ignored => self.account(&account).end(),
            PollPosition::AlwaysNewChange => {
                return Reply::Answer(self.signal(call.record, 200, "new_change"));
            }
        };
        let listening = Listening {
            account,
            stream,
            since,
        };
        if self.has_changed(&listening) {
            return Reply::Answer(self.signal(call.record, 200, "new_change"));
        }
        let until = call.now + Duration::from_millis(self.settings.hold_ms);
        self.hold(call, Some(until), Some(listening))
    }

    /// Holds a request that will never be answered.
    pub(crate) fn never_answer(&mut self, call: &Call<'_>) -> Reply {
        self.hold(call, None, None)
    }

    fn hold(
        &mut self,
        call: &Call<'_>,
        until: Option<Instant>,
        listening: Option<Listening>,
    ) -> Reply {
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
            until,
            listening,
            ending: None,
        };
        self.holds.insert(id, hold);
        Reply::Hold { id, until }
    }

    fn has_changed(&self, listening: &Listening) -> bool {
        let account = self.accounts.get(&listening.account);
        !self.settings.drop_signals
            && account.is_some_and(|account| account.has_behind(listening.since, listening.stream))
    }

    /// What has become of a held request. `None` if it isn't held any more.
    pub fn resume(&mut self, id: HoldId, now: Instant) -> Option<Reply> {
        let hold = self.holds.get(&id)?;
        let changed = hold
            .listening
            .as_ref()
            .is_some_and(|listening| self.has_changed(listening));
        let timed_out = hold.until.is_some_and(|until| until <= now);
        if !changed && !timed_out && hold.ending.is_none() {
            return self.hold_on(id);
        }
        let hold = self.release(id)?;
        let reply = match hold.ending {
            Some(fault) => {
                self.journal
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
            None => Reply::Answer(self.signal(
                hold.record,
                200,
                if changed { "new_change" } else { "reconnect" },
            )),
        };
        Some(self.finished(hold.record, reply, now))
    }

    /// Holds a request for longer that nothing has happened to.
    fn hold_on(&mut self, id: HoldId) -> Option<Reply> {
        let hold = self.holds.get_mut(&id)?;
        if let Some(listening) = &mut hold.listening {
            let account = self.accounts.entry(listening.account.clone()).or_default();
            // The account forgot its listeners when it changed.
            account.listeners.insert(id);
            if !self.settings.drop_signals {
                // None of these events was one of the stream. None of them need be read again.
                listening.since = listening.since.max(account.end());
            }
        }
        Some(Reply::Hold {
            id,
            until: hold.until,
        })
    }

    /// Forgets a held request whose client has gone away.
    pub fn hang_up(&mut self, id: HoldId) {
        if let Some(hold) = self.release(id) {
            self.journal
                .amend(hold.record, |record| record.outcome = Outcome::HungUp);
        }
    }

    /// The held requests that are to be [resumed](Self::resume) now, though their deadline may not have come.
    pub fn take_ready(&mut self) -> Vec<HoldId> {
        std::mem::take(&mut self.ready)
    }

    /// Ends the polls that are open at this moment, of one account or of all, with a fault. Returns how many there are.
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

    pub(crate) fn signal(&mut self, record: u64, status: u16, message: &str) -> Answer {
        self.journal.amend(record, |record| {
            record.outcome = Outcome::Signalled(message.into());
        });
        let body = if self.settings.signal_version {
            json!({"version": 1, "message": message})
        } else {
            json!({"message": message})
        };
        Answer::json(status, body.to_string()).closing()
    }

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

/// Where a poll listens from.
fn poll_start(request: &Request) -> Start {
    match request.query("stream_position").as_deref() {
        None | Some("") => Start::Now,
        // A realtime server that can't read a position listens for what comes.
        text => Start::parse(text).unwrap_or(Start::Now),
    }
}
