//! The text of a checkpoint's file: a header line with a checksum of the rest, followed by JSON.
//!
//! The header tells a torn or changed file from a valid one, and an old layout from a new one. The
//! checksum has no key, so it detects accidents and not attackers.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::checkpoint::Checkpoint;
use crate::redact::quote;

const WHAT_IT_IS: &str = "box-longpoll checkpoint ";
const VERSION: &str = "1 ";

pub(super) fn write(checkpoint: &Checkpoint) -> Result<String, serde_json::Error> {
    let mut json = serde_json::to_string_pretty(checkpoint)?;
    json.push('\n');
    Ok(format!("{WHAT_IT_IS}{VERSION}{}\n{json}", checksum(&json)))
}

pub(super) fn parse(text: &[u8]) -> Result<Checkpoint, String> {
    // Bytes that are not UTF-8 become other characters, so the checksum does not match.
    let text = String::from_utf8_lossy(text);
    let rest = text
        .strip_prefix(WHAT_IT_IS)
        .ok_or("it is not a checkpoint, or only the beginning of one")?;
    let rest = rest
        .strip_prefix(VERSION)
        .ok_or_else(|| of_another_layout(rest))?;
    let (sum, json) = rest.split_once('\n').ok_or("it is torn")?;
    if checksum(json) != sum {
        return Err("its checksum is wrong: it is torn, or was changed".to_owned());
    }
    // The error may quote the entire text.
    serde_json::from_str(json).map_err(|error| quote(&error.to_string()))
}

/// Returns the error for a file with another layout number, or without one.
fn of_another_layout(rest: &str) -> String {
    let number = rest.split(' ').next().unwrap_or_default();
    match number.parse::<u64>() {
        Ok(number) => format!(
            "its file has layout {number}, and this version of box-longpoll reads layout {}",
            VERSION.trim_end()
        ),
        Err(_) => "it is torn".to_owned(),
    }
}

/// Returns a checksum against accidents. It has no key.
fn checksum(json: &str) -> String {
    let mut hasher = SipHasher13::new();
    hasher.write(json.as_bytes());
    format!("{:032x}", hasher.finish128().as_u128())
}
