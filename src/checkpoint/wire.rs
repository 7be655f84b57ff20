//! A checkpoint as it is written: names and texts that a person can read.

use serde::{Deserialize, Serialize};

use super::{Checkpoint, MAX_IDS};
use crate::feed::FeedName;
use crate::position::StartAt;
use crate::timestamp;

/// The digits of a hash of 128 bits.
const DIGITS: usize = 32;

#[derive(Serialize, Deserialize)]
pub(super) struct Wire {
    account: String,
    stream_type: String,
    api_origin: String,
    /// `oldest`, or as Box gave it.
    position: String,
    last_success: String,
    id_key: String,
    /// One after the other, each in 32 hexadecimal digits.
    ids: String,
}

impl From<Checkpoint> for Wire {
    fn from(checkpoint: Checkpoint) -> Self {
        let mut ids = String::with_capacity(checkpoint.ids.len() * DIGITS);
        for id in &checkpoint.ids {
            ids += &format!("{id:032x}");
        }
        Self {
            account: checkpoint.account,
            stream_type: checkpoint.stream_type.as_str().to_owned(),
            api_origin: checkpoint.api_origin,
            position: checkpoint.resume_at.to_string(),
            last_success: timestamp::written(checkpoint.last_success),
            id_key: format!("{:016x}{:016x}", checkpoint.key.0, checkpoint.key.1),
            ids,
        }
    }
}

impl TryFrom<Wire> for Checkpoint {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let stream_type = FeedName::of_a_checkpoint(&wire.stream_type)
            .ok_or("the checkpoint's stream type is not one that is known")?;
        let resume_at = match wire.position.parse() {
            Ok(StartAt::Now) => return Err("a checkpoint is never at now".to_owned()),
            Ok(resume_at) => resume_at,
            Err(error) => return Err(error.to_string()),
        };
        let ids = wire.ids.as_bytes().chunks(DIGITS);
        if ids.len() > MAX_IDS {
            return Err("the checkpoint has more ids than one holds".to_owned());
        }
        let ids: Option<Vec<u128>> = ids.map(hash).collect();
        let key = hash(wire.id_key.as_bytes()).map(u128::to_be_bytes);
        let (Some(ids), Some(key)) = (ids, key) else {
            return Err("the checkpoint's ids are not hashes of 32 digits each".to_owned());
        };
        let (high, low) = key.split_at(8);
        Ok(Self {
            account: wire.account,
            stream_type,
            api_origin: wire.api_origin,
            resume_at,
            last_success: timestamp::read(&wire.last_success)
                .ok_or("the checkpoint's time is not one of RFC 3339 since 1970")?,
            key: (half(high), half(low)),
            ids,
        })
    }
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

fn half(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |half, byte| half << 8 | u64::from(*byte))
}
