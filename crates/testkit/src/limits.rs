//! The limits of the emulator for input over HTTP.
//!
//! Without these limits, one request could exhaust the memory of the machine. A request beyond a
//! limit is refused, and the refusal names the limit. A test that calls the library directly is not
//! limited.

use std::fmt::Display;

use crate::Request;

/// The default for the greatest number of connections. It suffices for 15,000 clients that each
/// have a connection for a held poll and one for API calls.
pub(crate) const MAX_CONNECTIONS: usize = 32_768;

/// The greatest size of a request line with its headers, in bytes: 64 KiB. Browsers and Box allow
/// only a quarter of it.
pub(crate) const MAX_HEAD_BYTES: usize = 64 << 10;

/// The greatest number of headers in a request.
pub(crate) const MAX_HEADERS: usize = 64;

/// The greatest body of a request, in bytes: 64 KiB. A token request with a JWT has two kilobytes.
const MAX_BODY_BYTES: usize = 64 << 10;

/// The greatest body of a control request, in bytes: 1 MiB. An application contains keys, and a
/// fault may contain a response body.
const MAX_CONTROL_BYTES: usize = 1 << 20;

/// The greatest body of a request that appends given events, in bytes: 16 MiB, which is 8,000
/// events of realistic size.
const MAX_EVENTS_BYTES: usize = 16 << 20;

/// The greatest number of events that one control request appends, over all accounts. They take up
/// to 2 GB.
pub(crate) const MAX_COUNT: usize = 1_000_000;

/// The greatest size of all logs, in bytes: 4 GiB. Above it, the control API and `rate` append
/// nothing.
pub(crate) const MAX_STORED_BYTES: usize = 4 << 30;

/// The greatest number of applications.
pub(crate) const MAX_APPLICATIONS: usize = 1_000;

/// The greatest number of queued faults.
pub(crate) const MAX_FAULTS: usize = 1_000;
/// The greatest number of requests for one queued fault. Its product with [`MAX_FAULTS`] fits into
/// the `u32` that counts them.
pub(crate) const MAX_TIMES: u32 = 1_000_000;

/// The greatest `bytes` of a fault: 256 MiB, which is 16 times as much as a client should read.
/// Each response holds them in memory.
pub(crate) const MAX_PADDING: usize = 256 << 20;

/// The greatest interval between two bytes of a response, in milliseconds: one hour.
pub(crate) const MAX_DRIP_MS: u64 = 3_600_000;

/// The greatest latency or other delay in the settings, in milliseconds: one hour.
pub(crate) const MAX_DELAY_MS: u64 = 3_600_000;

/// The greatest number of realtime servers in a list.
pub(crate) const MAX_SERVERS: usize = 1_000;

/// The greatest duration in the settings, in milliseconds: 100 years. Not every platform can
/// represent a later moment.
pub(crate) const MAX_MILLISECONDS: u64 = 100 * 366 * 24 * 3_600_000;

/// The latest date in the control API, in seconds since 1970: 2100-01-01.
pub(crate) const MAX_UNIX: i64 = 4_102_444_800;

/// The greatest number of bytes of a header or parameter that the request log keeps.
const MAX_NOTED: usize = 1_024;

/// Returns the greatest body of this request that the emulator reads, in bytes.
pub(crate) fn body_bytes(request: &Request) -> usize {
    match request.control_resource() {
        Some("events") => MAX_EVENTS_BYTES,
        Some(_) => MAX_CONTROL_BYTES,
        None => MAX_BODY_BYTES,
    }
}

/// Checks that a value is not above its limit. The error names the value and the limit.
pub(crate) fn at_most<N: PartialOrd + Display + Copy>(
    name: &str,
    value: N,
    most: N,
) -> Result<(), String> {
    if value <= most {
        Ok(())
    } else {
        Err(format!("{name} is {value}, but the limit is {most}"))
    }
}

/// Returns the part of a text that the request log keeps.
pub(crate) fn noted(text: &str) -> String {
    let end = (0..=text.len().min(MAX_NOTED)).rfind(|&end| text.is_char_boundary(end));
    text[..end.unwrap_or(0)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(noted("short"), "short");
        let long = "é".repeat(MAX_NOTED);
        assert_eq!(noted(&format!("x{long}")).len(), MAX_NOTED - 1);
    }
}
