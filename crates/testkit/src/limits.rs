//! How much the emulator takes in over HTTP.
//!
//! Without these limits one request could exhaust the memory of the machine. A request beyond a limit is refused, and the
//! refusal names the limit. A test that uses the library directly is not limited.

use std::fmt::Display;

use crate::Request;

/// Room for 15,000 clients that each hold a poll and have a connection for calls.
pub(crate) const MAX_CONNECTIONS: usize = 32_768;

/// The greatest number of bytes in a request line and its headers. Browsers and Box stop at a quarter of it.
pub(crate) const MAX_HEAD_BYTES: usize = 64 << 10;

/// The greatest number of headers of a request.
pub(crate) const MAX_HEADERS: usize = 64;

/// The greatest body of a request, in bytes: a token request with a JWT has two kilobytes.
const MAX_BODY_BYTES: usize = 64 << 10;

/// The greatest body of a control request, in bytes: an application has keys, and a fault has a body.
const MAX_CONTROL_BYTES: usize = 1 << 20;

/// The greatest body, in bytes, that appends events as they are: 8,000 of a realistic size.
const MAX_EVENTS_BYTES: usize = 16 << 20;

/// How many events one control request appends at most, over all accounts. They have up to 2 GB.
pub(crate) const MAX_COUNT: usize = 1_000_000;

/// How many bytes of events the logs hold before the control API and `rate` append no more: 4 GiB.
pub(crate) const MAX_STORED_BYTES: usize = 4 << 30;

/// How many applications there are at most.
pub(crate) const MAX_APPLICATIONS: usize = 1_000;

/// How many faults wait at most, and for how many requests each. Their product fits into the count of them.
pub(crate) const MAX_FAULTS: usize = 1_000;
pub(crate) const MAX_TIMES: u32 = 1_000_000;

/// The greatest `bytes` of a fault: sixteen times as much as a client should read. Each response holds them in memory.
pub(crate) const MAX_PADDING: usize = 256 << 20;

/// The greatest interval between two bytes of a response, in milliseconds: an hour.
pub(crate) const MAX_DRIP_MS: u64 = 3_600_000;

/// The greatest number of realtime servers in a list.
pub(crate) const MAX_SERVERS: usize = 1_000;

/// A hundred years, in milliseconds: a moment that lies further away can't be represented everywhere.
pub(crate) const MAX_MILLISECONDS: u64 = 100 * 366 * 24 * 3_600_000;

/// How many bytes of a header or of a parameter the journal keeps.
const MAX_NOTED: usize = 1_024;

/// Returns the greatest body that the emulator reads of such a request, in bytes.
pub(crate) fn body_bytes(request: &Request) -> usize {
    match request.control_resource() {
        Some("events") => MAX_EVENTS_BYTES,
        Some(_) => MAX_CONTROL_BYTES,
        None => MAX_BODY_BYTES,
    }
}

/// Refuses a value above its limit by a sentence that names both.
pub(crate) fn at_most<N: PartialOrd + Display + Copy>(
    name: &str,
    value: N,
    most: N,
) -> Result<(), String> {
    if value <= most {
        Ok(())
    } else {
        Err(format!("{name} is {value}, and at most {most} is possible"))
    }
}

/// Returns as much of a text as the journal keeps.
pub(crate) fn noted(text: &str) -> String {
    let end = (0..=text.len().min(MAX_NOTED)).rfind(|&end| text.is_char_boundary(end));
    text[..end.unwrap_or(0)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        assert_eq!(noted("short"), "short");
        let long = "é".repeat(MAX_NOTED);
        assert_eq!(noted(&format!("x{long}")).len(), MAX_NOTED - 1);
    }
}
