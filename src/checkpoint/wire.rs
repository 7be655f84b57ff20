//! The serialized form of a checkpoint.
//!
//! Its names and texts are readable for people, and its fields are optional, so that it can be read
//! across versions. Every field is checked when a [`Checkpoint`] is made from it. It does not
//! choose the serialization: [`CheckpointFile`](super::CheckpointFile) writes JSON.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::owner::{Identity, Owner, Query};
use super::{Checkpoint, MAX_IDS, Since};
use crate::clock;
use crate::config::{Range, StreamKind};
use crate::position::{SlicePoint, StartAt, StreamPosition};

/// The digits of a hash of 128 bits.
const DIGITS: usize = 32;

/// The format that this version writes. Format 1 had no subject and no number, and format 2 had
/// nothing about a history or a query.
const FORMAT: u64 = 3;

/// The fields of a checkpoint.
///
/// A later format may add fields at the end and leave some out, but it does not change the type of
/// a field. An older version can therefore read the number and name it in its error, even if other
/// fields are missing.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Wire {
    account: Option<String>,
    stream_type: Option<String>,
    api_origin: Option<String>,
    /// `oldest`, `since` and a time, or the position as Box sent it.
    position: Option<String>,
    last_success: Option<String>,
    id_key: Option<String>,
    /// The hashes one after another, each in 32 hexadecimal digits.
    ids: Option<String>,
    /// `None` if it is not known, as before format 2.
    subject: Option<String>,
    format: Option<u64>,
    /// `None` unless the stream began with the history.
    since: Option<String>,
    forget_ids_at: Option<String>,
    history_began_at: Option<String>,
    slice_until: Option<String>,
    slice_position: Option<StreamPosition>,
    /// The number of the history's ids, which are stored beside the checkpoint.
    history_ids: Option<u64>,
    /// The range of a query, and its event types. They are `None` for all events.
    created_after: Option<String>,
    created_before: Option<String>,
    event_types: Option<String>,
}

impl From<Checkpoint> for Wire {
    fn from(checkpoint: Checkpoint) -> Self {
        let owner = checkpoint.owner;
        let since = checkpoint.since;
        let forget_ids_at = since.and_then(|since| since.forget_ids_at);
        let slice = checkpoint.slice;
        let history_began_at = since.and_then(|since| since.history_began_at);
        let Query { range, event_types } = owner.query.unwrap_or_default();
        let mut ids = String::with_capacity(checkpoint.ids.len() * DIGITS);
        for id in &checkpoint.ids {
            ids += &format!("{id:032x}");
        }
        Self {
            account: Some(owner.account),
            stream_type: Some(owner.stream_type.to_owned()),
            api_origin: Some(owner.api_origin),
            position: Some(checkpoint.resume_at.to_string()),
            last_success: Some(clock::to_rfc3339(checkpoint.last_success)),
            id_key: Some(format!("{:032x}", checkpoint.key)),
            ids: Some(ids),
            subject: owner.identity.map(|identity| identity.to_string()),
            format: Some(FORMAT),
            since: since.map(|since| since.from.to_string()),
            forget_ids_at: forget_ids_at.map(|time| time.to_string()),
            history_began_at: history_began_at.map(|time| time.to_string()),
            slice_until: slice.as_ref().map(|slice| slice.until.to_string()),
            slice_position: slice.map(|slice| slice.position),
            history_ids: since.map(|_| checkpoint.history_ids),
            created_after: range.after.map(|time| time.to_string()),
            created_before: range.before.map(|time| time.to_string()),
            event_types: Some(event_types).filter(|types| !types.is_empty()),
        }
    }
}

impl TryFrom<Wire> for Checkpoint {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let format = wire.format.unwrap_or(1);
        if format > FORMAT {
            return Err(format!(
                "the checkpoint has format {format}, and the newest that this version of \
                 box-longpoll reads is format {FORMAT}"
            ));
        }
        let stream_type = field("stream_type", wire.stream_type)?;
        let stream_type = StreamKind::known_name(&stream_type)
            .ok_or("the checkpoint's stream type is unknown")?;
        let query = Query {
            range: Range {
                after: wire.created_after.as_deref().map(time).transpose()?,
                before: wire.created_before.as_deref().map(time).transpose()?,
            },
            event_types: wire.event_types.unwrap_or_default(),
        };
        let identity = match wire.subject {
            Some(subject) => Some(
                Identity::parse(&subject)
                    .ok_or("the checkpoint's subject is neither user:ID nor enterprise:ID")?,
            ),
            None => None,
        };
        let resume_at = match field("position", wire.position)?.parse() {
            Ok(StartAt::Now) => return Err("the checkpoint's position must not be now".to_owned()),
            Ok(resume_at) => resume_at,
            Err(error) => return Err(error.to_string()),
        };
        let since = match (wire.since, wire.forget_ids_at) {
            (Some(from), forget_ids_at) => Some(Since {
                from: time(&from)?,
                forget_ids_at: forget_ids_at.as_deref().map(time).transpose()?,
                history_began_at: wire.history_began_at.as_deref().map(time).transpose()?,
            }),
            (None, None) if !matches!(resume_at, StartAt::Since(_)) => None,
            (None, _) => return Err(missing("since")),
        };
        let (ids, id_key) = (field("ids", wire.ids)?, field("id_key", wire.id_key)?);
        let ids = ids.as_bytes().chunks(DIGITS);
        if ids.len() > MAX_IDS {
            return Err("the checkpoint has more ids than a checkpoint can hold".to_owned());
        }
        let ids: Option<Vec<u128>> = ids.map(hash).collect();
        let (Some(ids), Some(key)) = (ids, hash(id_key.as_bytes())) else {
            return Err("the checkpoint's ids are not hashes of 32 digits each".to_owned());
        };
        Ok(Self {
            owner: Owner {
                account: field("account", wire.account)?,
                stream_type,
                api_origin: field("api_origin", wire.api_origin)?,
                identity,
                query: StreamKind::is_history(stream_type).then_some(query),
            },
            resume_at,
            last_success: clock::from_rfc3339(&field("last_success", wire.last_success)?)
                .ok_or("the checkpoint's time is not one of RFC 3339 since 1970")?,
            key,
            ids,
            since,
            slice: match (wire.slice_until, wire.slice_position) {
                (Some(until), Some(position)) => Some(SlicePoint {
                    until: time(&until)?,
                    position,
                }),
                _ => None,
            },
            history_ids: match since {
                Some(_) => wire.history_ids.ok_or_else(|| missing("history_ids"))?,
                None => 0,
            },
            new_ids: None,
            stored_ids: Vec::new(),
        })
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    let malformed = "the checkpoint has a time that is not one of RFC 3339";
    text.parse().map_err(|_| malformed.to_owned())
}

fn field(name: &str, value: Option<String>) -> Result<String, String> {
    value.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> String {
    format!("the checkpoint has no {name}")
}

fn hash(digits: &[u8]) -> Option<u128> {
    if digits.len() != DIGITS {
        return None;
    }
    digits.iter().try_fold(0, |hash, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(hash << 4 | u128::from(value))
    })
}
