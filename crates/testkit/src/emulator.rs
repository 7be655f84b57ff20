use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::account::Account;
use crate::calendar::{Calendar, http_date, rfc3339};
use crate::counters::Traffic;
use crate::event::{Dates, realistic};
use crate::fault::{FaultQueue, QueuedFault};
use crate::journal::Journal;
use crate::limits::{MAX_CONNECTIONS, MAX_STORED_BYTES, noted};
use crate::realtime::{Channels, Hold};
use crate::session::Session;
use crate::tokens::Tokens;
use crate::{
    Answer, Counters, Endpoint, Fault, Grant, HoldId, Outcome, Reply, Request, RequestCounters,
    RequestRecord, Settings,
};
use crate::{control, events_api};

/// What an emulator begins with.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the account behaves.
    pub settings: Settings,
    /// Where all randomness comes from. The same seed, requests and moments give the same answers. Default: 0.
    pub seed: u64,
    /// The date at the emulator's first moment, in seconds since 1970. [`EmulatorServer`](crate::EmulatorServer) puts
    /// the present date in place of `None`. Default: `None`, which is 2026-01-01 to a bare [`Emulator`].
    pub started_unix: Option<i64>,
    /// How many requests the journal keeps. Default: 100,000.
    pub journal_capacity: usize,
    /// How many connections an [`EmulatorServer`](crate::EmulatorServer) has at once. One more gets a 503 and is closed.
    /// Default: 32,768.
    pub max_connections: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            seed: 0,
            started_unix: None,
            journal_capacity: 100_000,
            max_connections: MAX_CONNECTIONS,
        }
    }
}

impl From<Settings> for Config {
    fn from(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }
}

/// Box's events API, without a network and without a clock.
///
/// Give each request to [`respond`](Self::respond). A request that is held is asked for again with
/// [`resume`](Self::resume): when its deadline has come, and when [`take_ready`](Self::take_ready) names it.
#[derive(Debug)]
pub struct Emulator {
    pub(crate) settings: Settings,
    pub(crate) calendar: Calendar,
    pub(crate) rng: Rng,
    pub(crate) accounts: BTreeMap<String, Account>,
    /// The accounts whose names are known to be no tokens.
    pub(crate) ids: BTreeSet<String>,
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) tokens: Tokens,
    pub(crate) channels: Channels,
    pub(crate) holds: BTreeMap<HoldId, Hold>,
    pub(crate) next_hold: u64,
    pub(crate) ready: Vec<HoldId>,
    pub(crate) faults: FaultQueue,
    pub(crate) traffic: Traffic,
    pub(crate) journal: Journal,
    /// Up to when `rate` was heeded.
    produced_until: Instant,
}

impl Emulator {
    /// An emulator without accounts. They come into being when their token is first used, or when events are appended.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        // 2026-01-01T00:00:00Z
        let started_unix = config.started_unix.unwrap_or(1_767_225_600);
        Self {
            settings: config.settings,
            calendar: Calendar::new(now, started_unix),
            rng: Rng::with_seed(config.seed),
            accounts: BTreeMap::new(),
            ids: BTreeSet::new(),
            sessions: BTreeMap::new(),
            tokens: Tokens::default(),
            channels: Channels::default(),
            holds: BTreeMap::new(),
            next_hold: 0,
            ready: Vec::new(),
            faults: FaultQueue::default(),
            traffic: Traffic::default(),
            journal: Journal::new(config.journal_capacity),
            produced_until: now,
        }
    }

    /// Answers a request, or holds it.
    pub fn respond(&mut self, request: &Request, now: Instant) -> Reply {
        if let Some(resource) = request.control_resource() {
            let answer = control::respond(self, request, resource, now);
            return Reply::Answer(answer.to(request));
        }
        let endpoint = Endpoint::of(request);
        let authorization = request.header_value("authorization").is_some();
        self.traffic.record(endpoint, authorization, now);
        let caller = match endpoint {
            Endpoint::Realtime => self.channels.caller(request),
            Endpoint::Token => None,
            Endpoint::Options | Endpoint::Events | Endpoint::Other => {
                self.note_expired(request, now);
                self.caller(request, now)
            }
        };
        if let Some(session) = caller
            .as_ref()
            .and_then(|caller| self.sessions.get_mut(caller))
        {
            session.meter.record(authorization, now);
        }
        let fault = self.faults.take(endpoint);
        let record = self.record(request, endpoint, caller.as_deref(), fault.as_ref(), now);
        let call = Call {
            request,
            endpoint,
            caller,
            record,
            now,
        };
        let reply = match (fault, endpoint) {
            (Some(fault), _) => self.fail(&call, &fault),
            (None, Endpoint::Options) => Reply::Answer(self.realtime_servers(&call)),
            (None, Endpoint::Events) => Reply::Answer(events_api::page(self, &call, None)),
            (None, Endpoint::Realtime) => self.poll(&call),
            (None, Endpoint::Token) => Reply::Answer(self.token(&call)),
            (None, Endpoint::Other) => Reply::Answer(not_found(request).to(request)),
        };
        self.finished(record, reply, now)
    }

    /// Appends realistic events to an account.
    pub fn append(&mut self, account: &str, count: usize, now: Instant) {
        for _ in 0..count {
            let event = self.new_event(now);
            self.push(account, event.into(), now);
        }
        self.changed(account);
    }

    /// Appends events as they are: they may be anything that stands between the commas of a JSON array.
    pub fn append_json<E: Into<Arc<str>>>(
        &mut self,
        account: &str,
        events: impl IntoIterator<Item = E>,
        now: Instant,
    ) {
        for event in events {
            self.push(account, event.into(), now);
        }
        self.changed(account);
    }

    /// Gives an account the log of another in place of its own. The two share its memory until one of them changes.
    pub fn copy_log(&mut self, from: &str, to: &str) {
        let twin = self.account(from).twin();
        let replaced = std::mem::replace(self.account(to), twin);
        self.ready.extend(replaced.listeners);
    }

    /// Appends what [`Settings::rate`] owes to the accounts since the last time; nothing if the logs hold 4 GiB.
    pub fn advance(&mut self, now: Instant) {
        let rate = self.settings.rate;
        if rate <= 0.0 {
            self.produced_until = now;
            return;
        }
        let owed = (now
            .saturating_duration_since(self.produced_until)
            .as_secs_f64()
            * rate)
            .floor();
        if owed < 1.0 {
            return;
        }
        self.produced_until += Duration::from_secs_f64(owed / rate);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number, 1 or more"
        )]
        let owed = owed as usize;
        let mut stored = self.stored_bytes();
        for account in self.accounts() {
            if stored >= MAX_STORED_BYTES {
                return;
            }
            let before = self.account(&account).stored_bytes();
            self.append(&account, owed, now);
            stored += self.account(&account).stored_bytes().saturating_sub(before);
        }
    }

    /// The bytes of the events in all logs. A log that several accounts share counts once.
    pub(crate) fn stored_bytes(&self) -> usize {
        let mut counted = HashSet::new();
        self.accounts
            .values()
            .filter(|account| counted.insert(account.log_identity()))
            .map(Account::stored_bytes)
            .sum()
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes the settings.
    pub fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        if let Some(last) = self.settings.retention {
            self.accounts
                .values_mut()
                .for_each(|account| account.retain(last));
        }
    }

    /// Lets the next `times` requests of an endpoint meet a fault, after those queued before.
    ///
    /// # Panics
    ///
    /// Where the fault [means nothing](Fault::applies_to) on the endpoint.
    #[track_caller]
    pub fn queue_fault(&mut self, endpoint: Endpoint, fault: Fault, times: u32) {
        assert!(
            fault.applies_to(endpoint),
            "{} means nothing on {endpoint:?}",
            fault.name()
        );
        self.faults.push(QueuedFault {
            endpoint,
            times,
            fault,
        });
    }

    /// Forgets the faults that are still queued.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// How many requests will still meet a queued fault.
    #[must_use]
    pub fn queued_faults(&self) -> u32 {
        self.faults.iter().map(|queued| queued.times).sum()
    }

    /// The names of the accounts that are known.
    #[must_use]
    pub fn accounts(&self) -> Vec<String> {
        self.accounts.keys().cloned().collect()
    }

    /// The ids of an account's retained events, in the order of their first appearance.
    #[must_use]
    pub fn event_ids(&self, account: &str) -> Vec<String> {
        self.accounts
            .get(account)
            .map(Account::event_ids)
            .unwrap_or_default()
    }

    /// An account's retained events in the order of the log, repeats included.
    #[must_use]
    pub fn events(&self, account: &str) -> Vec<Arc<str>> {
        self.accounts
            .get(account)
            .map(|account| account.events().cloned().collect())
            .unwrap_or_default()
    }

    /// The position behind an account's newest event.
    #[must_use]
    pub fn newest_position(&self, account: &str) -> String {
        Account::position(self.accounts.get(account).map_or(0, Account::end)).to_string()
    }

    /// What was asked so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.traffic.counters()
    }

    /// What each caller asked. A caller is a made-up token, or `account by client id` for all tokens that an application
    /// was issued for an account; `… as user` where there was an `As-User`.
    #[must_use]
    pub fn callers(&self) -> BTreeMap<String, RequestCounters> {
        self.sessions
            .iter()
            .map(|(caller, session)| (caller.clone(), session.meter.counters()))
            .collect()
    }

    /// Counts from zero again.
    pub fn reset_counters(&mut self) {
        self.traffic.reset();
        self.sessions
            .values_mut()
            .for_each(|session| session.meter = crate::counters::Meter::default());
    }

    /// The last requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> impl DoubleEndedIterator<Item = &RequestRecord> {
        self.journal.iter()
    }

    fn new_event(&mut self, now: Instant) -> String {
        let recorded = self.unix(now);
        let early = if self.happens(self.settings.reorder_rate) {
            self.rng.i64(1..=3600)
        } else {
            0
        };
        let dates = Dates {
            created_at: &rfc3339(recorded - early),
            recorded_at: &rfc3339(recorded),
        };
        realistic(&mut self.rng, &dates)
    }

    fn push(&mut self, name: &str, event: Arc<str>, now: Instant) {
        let repeats = self.happens(self.settings.repeat_rate);
        let repeated = repeats.then(|| {
            if self.rng.bool() {
                self.rng.usize(..10)
            } else {
                self.rng.usize(..2_000)
            }
        });
        let retention = self.settings.retention;
        let account = self.account(name);
        account.append(event, now);
        if let Some(back) = repeated {
            account.repeat(back, now);
        }
        if let Some(last) = retention {
            account.retain(last);
        }
    }

    /// Those who listen to the account are to be asked again.
    fn changed(&mut self, name: &str) {
        let listeners = std::mem::take(&mut self.account(name).listeners);
        self.ready.extend(listeners);
    }

    pub(crate) fn account(&mut self, name: &str) -> &mut Account {
        if !self.accounts.contains_key(name) {
            self.accounts.insert(name.into(), Account::default());
        }
        self.accounts
            .get_mut(name)
            .expect("it was put there if it was missing")
    }

    /// Notes that an account's name is no token.
    pub(crate) fn is_id(&mut self, account: &str) {
        if !self.ids.contains(account) {
            self.ids.insert(account.into());
        }
    }

    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        // A setting of 0 must not use up randomness that the rest of the run depends on.
        probability > 0.0 && self.rng.f64() < probability
    }

    fn record(
        &mut self,
        request: &Request,
        endpoint: Endpoint,
        caller: Option<&str>,
        fault: Option<&Fault>,
        now: Instant,
    ) -> u64 {
        let query = |name| request.query(name).as_deref().map(noted);
        let header = |name| request.header_value(name).map(noted);
        let grant = (endpoint == Endpoint::Token)
            .then(|| request.form("grant_type"))
            .flatten()
            .and_then(|grant_type| Grant::of_type(&grant_type));
        self.journal.push(RequestRecord {
            number: 0,
            at_ms: self.calendar.milliseconds(now),
            endpoint,
            method: noted(request.method()),
            path: noted(request.path()),
            account: caller
                .and_then(|caller| self.sessions.get(caller))
                .map(|session| session.account.clone()),
            stream_type: query("stream_type"),
            stream_position: query("stream_position"),
            limit: query("limit"),
            grant,
            refusal: None,
            token: request
                .bearer_token()
                .and_then(|token| self.tokens.access_token(token))
                .map(|issued| issued.number),
            authorization: request.header_value("authorization").is_some(),
            as_user: header("as-user"),
            user_agent: header("user-agent"),
            fault: fault.map(Fault::name),
            outcome: Outcome::Held,
            events: 0,
            new_events: 0,
        })
    }

    /// Notes what came of a request, and dates the answer.
    pub(crate) fn finished(&mut self, record: u64, reply: Reply, now: Instant) -> Reply {
        let Reply::Answer(answer) = reply else {
            return reply;
        };
        self.journal.amend(record, |record| {
            if record.outcome == Outcome::Held {
                record.outcome = Outcome::Answered(answer.status);
            }
        });
        if self.settings.no_date {
            return Reply::Answer(answer);
        }
        let date = http_date(self.unix(now));
        Reply::Answer(answer.header("date", &date))
    }

    /// The emulator's clock, in seconds since 1970.
    pub(crate) fn unix(&self, now: Instant) -> i64 {
        self.calendar
            .unix(now)
            .saturating_add(self.settings.clock_skew_seconds)
    }

    /// Says how far into its second the emulator's first moment lies.
    pub(crate) fn start_in_second(&mut self, fraction: Duration) {
        self.calendar = self.calendar.clone().with_fraction(fraction);
    }
}

/// A request that is being answered.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) endpoint: Endpoint,
    /// The session's key, where the caller is known.
    pub(crate) caller: Option<String>,
    /// Its number in the journal.
    pub(crate) record: u64,
    pub(crate) now: Instant,
}

fn not_found(request: &Request) -> Answer {
    let known = matches!(request.path(), "/2.0/events" | "/oauth2/token");
    let (status, code) = if known {
        (405, "method_not_allowed")
    } else {
        (404, "not_found")
    };
    let message = format!(
        "{} {} is not part of the emulator",
        request.method(),
        request.path()
    );
    Answer::box_error(status, code, &message, &serde_json::Value::Null)
}
