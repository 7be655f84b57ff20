use std::time::Instant;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::account::Account;
use crate::fault::QueuedFault;
use crate::{Answer, Application, Emulator, Endpoint, Fault, Request};

/// What `GET /_emulator/` says.
const INDEX: &str = include_str!("control.txt");

/// Answers a request to the control API.
pub(crate) fn respond(emulator: &mut Emulator, request: &Request, now: Instant) -> Answer {
    let resource = request
        .path()
        .trim_start_matches("/_emulator")
        .trim_matches('/');
    answer(emulator, request, resource, now).unwrap_or_else(|refusal| refusal)
}

fn answer(
    emulator: &mut Emulator,
    request: &Request,
    resource: &str,
    now: Instant,
) -> Result<Answer, Answer> {
    let account = request.query("account");
    let body = match (request.method(), resource) {
        ("GET", "") => return Ok(Answer::new(200, "text/plain; charset=utf-8", INDEX)),
        ("GET", "events") => log(emulator, account.as_deref())?,
        ("POST", "events") => append(emulator, parse(request)?, now)?,
        ("GET", "accounts") => accounts(emulator),
        ("GET", "settings") => json!(emulator.settings()),
        ("PATCH", "settings") => {
            let settings = emulator
                .settings()
                .changed_by(&parse(request)?)
                .map_err(|error| refusal(400, &error))?;
            emulator.change_settings(|current| *current = settings);
            json!(emulator.settings())
        }
        ("GET", "faults") => json!(emulator.faults.iter().collect::<Vec<_>>()),
        ("POST", "faults") => queue(emulator, parse(request)?)?,
        ("DELETE", "faults") => {
            emulator.clear_faults();
            json!([])
        }
        ("POST", "interruptions") => interrupt(emulator, &parse(request)?)?,
        ("GET", "applications") => applications(emulator),
        ("POST", "applications") => {
            emulator.register(parse(request)?);
            applications(emulator)
        }
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
        ("GET", "callers") => json!(emulator.callers()),
        ("GET", "requests") => {
            let since: u64 = request
                .query("since")
                .and_then(|since| since.parse().ok())
                .unwrap_or(0);
            json!(
                emulator
                    .requests()
                    .filter(|record| record.number >= since)
                    .collect::<Vec<_>>()
            )
        }
        (
            _,
            ""
            | "events"
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
                "this resource has no such method; GET /_emulator/ lists what there is",
            ));
        }
        _ => {
            return Err(refusal(
                404,
                "there is no such resource; GET /_emulator/ lists what there is",
            ));
        }
    };
    Ok(Answer::json(200, body.to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Append<'a> {
    account: Option<String>,
    count: Option<usize>,
    #[serde(borrow)]
    events: Option<Vec<&'a RawValue>>,
}

fn append(emulator: &mut Emulator, append: Append<'_>, now: Instant) -> Result<Value, Answer> {
    if append.count.is_some() == append.events.is_some() {
        return Err(refusal(400, "either \"count\" or \"events\" is needed"));
    }
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
    for account in &accounts {
        emulator.append(account, append.count.unwrap_or(0), now);
        let events = append.events.iter().flatten().map(|event| event.get());
        emulator.append_json(account, events, now);
    }
    Ok(json!({"accounts": accounts}))
}

fn log(emulator: &Emulator, account: Option<&str>) -> Result<Value, Answer> {
    let name = account.ok_or_else(|| refusal(400, "the query needs an account"))?;
    let account = emulator
        .accounts
        .get(name)
        .ok_or_else(|| refusal(404, "no such account"))?;
    Ok(json!({
        "account": name,
        "appended": account.end(),
        "retained": account.retained(),
        "newest_position": emulator.newest_position(name),
        "ids": account.event_ids(),
    }))
}

fn accounts(emulator: &Emulator) -> Value {
    let describe = |(name, account): (&String, &Account)| {
        json!({
            "account": name,
            "appended": account.end(),
            "retained": account.retained(),
            "newest_position": emulator.newest_position(name),
        })
    };
    emulator.accounts.iter().map(describe).collect()
}

fn queue(emulator: &mut Emulator, queued: QueuedFault) -> Result<Value, Answer> {
    if !queued.fault.applies_to(queued.endpoint) {
        return Err(refusal(
            400,
            &format!("{} means nothing on this endpoint", queued.fault.name()),
        ));
    }
    emulator.faults.push(queued);
    Ok(json!(emulator.faults.iter().collect::<Vec<_>>()))
}

#[derive(Deserialize)]
struct Interruption {
    account: Option<String>,
    #[serde(flatten)]
    fault: Fault,
}

fn interrupt(emulator: &mut Emulator, interruption: &Interruption) -> Result<Value, Answer> {
    if !interruption.fault.applies_to(Endpoint::Realtime) {
        return Err(refusal(
            400,
            &format!("{} means nothing to a poll", interruption.fault.name()),
        ));
    }
    let polls = emulator.interrupt_polls(interruption.account.as_deref(), &interruption.fault);
    Ok(json!({"polls": polls}))
}

/// The applications, without their secrets.
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authorization {
    client_id: String,
    user_id: String,
}

/// Which application a user authorizes.
fn authorization(emulator: &Emulator, request: &Request) -> Result<(String, String), Answer> {
    let Authorization { client_id, user_id } = parse(request)?;
    if emulator.tokens.applications.contains_key(&client_id) {
        Ok((client_id, user_id))
    } else {
        Err(refusal(404, "no application has that client id"))
    }
}

fn parse<'a, T: Deserialize<'a>>(request: &'a Request) -> Result<T, Answer> {
    serde_json::from_slice(request.body_bytes()).map_err(|error| refusal(400, &error.to_string()))
}

fn refusal(status: u16, message: &str) -> Answer {
    Answer::json(status, json!({"error": message}).to_string())
}
