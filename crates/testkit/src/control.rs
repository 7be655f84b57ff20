//! The control API under `/_emulator/`, by which programs in any language control the emulator.
//!
//! Each resource maps to a function of [`Emulator`]. Requests from web pages are refused, and so
//! are numbers above their limits. Tests in Rust call [`Emulator`] directly and don't need this.
//! `control.txt` documents the resources. Start from [`respond`].

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::access::{self, hashed};
use crate::account::Account;
use crate::content::Content;
use crate::fault::QueuedFault;
use crate::limits::{MAX_APPLICATIONS, MAX_COUNT, MAX_STORED_BYTES, at_most};
use crate::{
    Application, Emulator, Endpoint, FakeResponse, Fault, PastEvents, Request, RequestRecord,
};

/// The response to `GET /_emulator/`.
const INDEX: &str = include_str!("control.txt");

/// An upper estimate of the size of a realistic event, in bytes.
const EVENT_BYTES: usize = 2_048;

/// Responds to a request to the control API.
pub(crate) fn respond(
    emulator: &mut Emulator,
    request: &Request,
    resource: &str,
    now: Instant,
) -> FakeResponse {
    let response = match access_refusal(request) {
        Some(refusal) => Err(refusal),
        None => dispatch(emulator, request, resource, now),
    };
    response.unwrap_or_else(|refusal| refusal)
}

/// Returns the refusal of a request that may come from a web page. The head decides this, so the
/// body need not be read.
pub(crate) fn access_refusal(request: &Request) -> Option<FakeResponse> {
    access::refusal(request).map(|reason| refusal(403, reason))
}

/// Carries out a request, by its method and resource.
fn dispatch(
    emulator: &mut Emulator,
    request: &Request,
    resource: &str,
    now: Instant,
) -> Result<FakeResponse, FakeResponse> {
    let account = request.query("account");
    let body = match (request.method(), resource) {
        ("GET", "") => return Ok(FakeResponse::new(200, "text/plain; charset=utf-8", INDEX)),
        ("GET", "events") => log(emulator, account.as_deref())?,
        ("POST", "events") => append(emulator, parse(request)?, now)?,
        ("POST", "past_events") => append_past(emulator, &parse(request)?, now)?,
        ("GET", "accounts") => accounts(emulator),
        ("GET", "settings") => emulator.settings().shown(),
        ("PATCH", "settings") => {
            let settings = emulator
                .settings()
                .changed_by(&parse(request)?)
                .map_err(impossible)?;
            emulator.change_settings(|current| *current = settings);
            emulator.settings().shown()
        }
        ("GET", "faults") => json!(emulator.faults.iter().collect::<Vec<_>>()),
        ("POST", "faults") => queue(emulator, parse(request)?)?,
        ("DELETE", "faults") => {
            emulator.clear_faults();
            json!([])
        }
        ("POST", "interruptions") => interrupt(emulator, &parse(request)?)?,
        ("GET", "applications") => applications(emulator),
        ("POST", "applications") => register(emulator, parse(request)?)?,
        ("POST", "refresh_tokens") => {
            let (client_id, user_id) = authorization(emulator, request)?;
            json!({"refresh_token": emulator.grant_refresh_token(&client_id, &user_id, now)})
        }
        ("POST", "authorization_codes") => {
            let (client_id, user_id) = authorization(emulator, request)?;
            json!({"code": emulator.grant_authorization_code(&client_id, &user_id, now)})
        }
        ("GET", "counters") => json!(emulator.counters()),
        ("DELETE", "counters") => {
            emulator.reset_counters();
            json!(emulator.counters())
        }
        ("GET", "callers") => callers(emulator),
        ("GET", "requests") => {
            let since: u64 = request
                .query("since")
                .and_then(|since| since.parse().ok())
                .unwrap_or(0);
            requests(emulator, since)
        }
        (
            _,
            ""
            | "events"
            | "past_events"
            | "accounts"
            | "settings"
            | "faults"
            | "interruptions"
            | "counters"
            | "callers"
            | "requests"
            | "applications"
            | "refresh_tokens"
            | "authorization_codes",
        ) => {
            return Err(refusal(
                405,
                "the resource does not have this method: GET /_emulator/ lists all of them",
            ));
        }
        _ => {
            return Err(refusal(
                404,
                "no such resource: GET /_emulator/ lists all of them",
            ));
        }
    };
    Ok(FakeResponse::json(200, body.to_string()))
}

/// The body of `POST /_emulator/events`. It has either `count` or `events`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Append<'a> {
    account: Option<String>,
    count: Option<usize>,
    #[serde(borrow)]
    events: Option<Vec<&'a RawValue>>,
}

fn append(
    emulator: &mut Emulator,
    append: Append<'_>,
    now: Instant,
) -> Result<Value, FakeResponse> {
    if append.count.is_some() == append.events.is_some() {
        return Err(refusal(
            400,
            "the body needs either \"count\" or \"events\"",
        ));
    }
    let events: Option<Vec<Arc<str>>> = append
        .events
        .map(|events| events.iter().map(|event| event.get().into()).collect());
    let accounts = match append.account {
        Some(account) => vec![account],
        None => emulator.accounts(),
    };
    if accounts.is_empty() {
        return Err(refusal(
            409,
            "no account is known yet: name one with \"account\"",
        ));
    }
    let count = append.count.or(events.as_ref().map(Vec::len)).unwrap_or(0);
    let total = count.saturating_mul(accounts.len());
    at_most("the number of events", total, MAX_COUNT).map_err(impossible)?;
    let bytes = match &events {
        // The accounts share the text of an event.
        Some(events) => events.iter().map(|event| event.len()).sum(),
        None => total * EVENT_BYTES,
    };
    let stored = emulator.stored_bytes().saturating_add(bytes);
    at_most("the number of bytes in all logs", stored, MAX_STORED_BYTES).map_err(impossible)?;
    for account in &accounts {
        match &events {
            Some(events) => emulator.append_json(account, events.iter().cloned(), now),
            None => emulator.append(account, count, now),
        }
    }
    let shown: Vec<_> = accounts
        .iter()
        .map(|account| shown(emulator, account))
        .collect();
    Ok(json!({"accounts": shown}))
}

/// The body of `POST /_emulator/past_events`. The times are in seconds since 1970.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppendPast {
    account: String,
    count: usize,
    /// 364 days before `until_unix` if it is missing.
    from_unix: Option<i64>,
    /// The present if it is missing.
    until_unix: Option<i64>,
    #[serde(default)]
    seed: u64,
}

fn append_past(
    emulator: &mut Emulator,
    append: &AppendPast,
    now: Instant,
) -> Result<Value, FakeResponse> {
    at_most("the number of events", append.count, MAX_COUNT).map_err(impossible)?;
    let count = u32::try_from(append.count).map_err(|error| impossible(error.to_string()))?;
    let until_unix = append.until_unix.unwrap_or_else(|| emulator.unix(now));
    let year = PastEvents::year_until(until_unix, count);
    let past = PastEvents {
        from_unix: append.from_unix.unwrap_or(year.from_unix),
        seed: append.seed,
        ..year
    };
    past.check().map_err(impossible)?;
    let bytes = append.count * size_of::<Content>();
    let stored = emulator.stored_bytes().saturating_add(bytes);
    at_most("the number of bytes in all logs", stored, MAX_STORED_BYTES).map_err(impossible)?;
    emulator.append_past(&append.account, &past, now);
    Ok(json!({"accounts": [shown(emulator, &append.account)]}))
}

/// Returns an account's name, or a hash of it if it may be a token.
fn shown<'a>(emulator: &Emulator, account: &'a str) -> Cow<'a, str> {
    if emulator.ids.contains(account) {
        account.into()
    } else {
        hashed(account).into()
    }
}

/// Describes an account's log.
fn log(emulator: &Emulator, account: Option<&str>) -> Result<Value, FakeResponse> {
    let name =
        account.ok_or_else(|| refusal(400, "the query names no account: add ?account=NAME"))?;
    let account = emulator
        .accounts
        .get(name)
        .ok_or_else(|| refusal(404, "no such account"))?;
    Ok(json!({
        "account": shown(emulator, name),
        "appended": account.end(),
        "retained": account.retained(),
        "newest_position": emulator.newest_position(name),
        "ids": account.event_ids(),
    }))
}

fn accounts(emulator: &Emulator) -> Value {
    let describe = |(name, account): (&String, &Account)| {
        json!({
            "account": shown(emulator, name),
            "appended": account.end(),
            "retained": account.retained(),
            "newest_position": emulator.newest_position(name),
        })
    };
    emulator.accounts.iter().map(describe).collect()
}

fn callers(emulator: &Emulator) -> Value {
    let sessions = emulator.sessions.values();
    sessions
        .map(|session| (session.shown.clone(), json!(session.meter.counters())))
        .collect()
}

fn requests(emulator: &Emulator, since: u64) -> Value {
    let records = emulator.requests().filter(|record| record.number >= since);
    let describe = |record: &RequestRecord| {
        json!(RequestRecord {
            account: record
                .account
                .as_deref()
                .map(|account| shown(emulator, account).into_owned()),
            ..record.clone()
        })
    };
    records.map(describe).collect()
}

fn queue(emulator: &mut Emulator, queued: QueuedFault) -> Result<Value, FakeResponse> {
    queued.check().map_err(impossible)?;
    emulator.faults.check_room().map_err(impossible)?;
    emulator.faults.push(queued);
    Ok(json!(emulator.faults.iter().collect::<Vec<_>>()))
}

/// The body of `POST /_emulator/interruptions`. Without an account it concerns all of them.
#[derive(Deserialize)]
struct Interruption {
    account: Option<String>,
    #[serde(flatten)]
    fault: Fault,
}

fn interrupt(emulator: &mut Emulator, interruption: &Interruption) -> Result<Value, FakeResponse> {
    if !interruption.fault.applies_to(Endpoint::Realtime) {
        return Err(refusal(
            400,
            &format!(
                "the fault {} does not apply to polls",
                interruption.fault.name()
            ),
        ));
    }
    interruption.fault.check().map_err(impossible)?;
    let polls = emulator.interrupt_polls(interruption.account.as_deref(), &interruption.fault);
    Ok(json!({"polls": polls}))
}

fn register(emulator: &mut Emulator, application: Application) -> Result<Value, FakeResponse> {
    let known = &emulator.tokens.applications;
    let others = known.len() - usize::from(known.contains_key(&application.client_id));
    at_most("the number of applications", others + 1, MAX_APPLICATIONS).map_err(impossible)?;
    emulator.register(application);
    Ok(applications(emulator))
}

/// Lists the applications, without their secrets.
fn applications(emulator: &Emulator) -> Value {
    let describe = |application: &Application| {
        json!({
            "client_id": application.client_id,
            "enterprise_id": application.enterprise_id,
            "public_keys": application.public_keys,
            "users": application.users,
            "grants": application.grants,
            "authorized": application.authorized,
        })
    };
    let applications = emulator.tokens.applications.values();
    applications.map(describe).collect()
}

/// The body of a request for a refresh token or an authorization code.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authorization {
    client_id: String,
    user_id: String,
}

/// Returns the client ID of the application that a user authorizes, and the user's ID.
fn authorization(emulator: &Emulator, request: &Request) -> Result<(String, String), FakeResponse> {
    let Authorization { client_id, user_id } = parse(request)?;
    if emulator.tokens.applications.contains_key(&client_id) {
        Ok((client_id, user_id))
    } else {
        Err(refusal(404, "no application has that client ID"))
    }
}

/// Parses the body of a request as JSON.
fn parse<'a, T: Deserialize<'a>>(request: &'a Request) -> Result<T, FakeResponse> {
    if !access::claims_json(request) {
        return Err(refusal(
            415,
            "the body is not declared as JSON: send content-type: application/json",
        ));
    }
    serde_json::from_slice(request.body_bytes()).map_err(|error| impossible(error.to_string()))
}

/// Refuses a value that can't be read or is above its limit.
#[expect(clippy::needless_pass_by_value, reason = "map_err passes it by value")]
fn impossible(reason: String) -> FakeResponse {
    refusal(400, &reason)
}

/// Makes an error response of the control API.
pub(crate) fn refusal(status: u16, message: &str) -> FakeResponse {
    FakeResponse::json(status, json!({"error": message}).to_string())
}
