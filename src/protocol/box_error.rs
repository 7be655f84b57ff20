//! Box's errors, and the parts of a server's text that may be shown.
//!
//! An error response counts as Box's own if its body is in Box's form. This module reads that form.
//! It also shortens and redacts any text that an error message or a log may quote: see [`shown`].
//! The type to start from is [`BoxError`].

use http::StatusCode;
use serde_json::Value;

use crate::auth::AccessToken;
use crate::json;
use crate::redact::{quote, without_queries};

/// The largest error body that is read: 64 KiB. Error bodies are small, and a larger one is not
/// Box's.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// The codes of Box's errors, without those that only a success has.
///
/// See <https://developer.box.com/reference/resources/client-error/>.
const BOX_CODES: &[&str] = &[
    "bad_request",
    "unauthorized",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "conflict",
    "precondition_failed",
    "too_many_requests",
    "rate_limit_exceeded",
    "internal_server_error",
    "unavailable",
    "insufficient_scope",
    "access_denied_insufficient_permissions",
    "invalid_parameter",
];

/// The parameters of `GET /events`, for errors that name one.
const PARAMETERS: [&str; 6] = [
    "stream_position",
    "stream_type",
    "limit",
    "event_type",
    "created_after",
    "created_before",
];

/// An error in Box's own form, redacted so that it can be shown.
#[derive(Default)]
pub(super) struct BoxError {
    pub(super) code: Option<String>,
    message: Option<String>,
    pub(super) request_id: Option<String>,
    /// The parameter that the error names.
    pub(super) parameter: Option<&'static str>,
}

impl BoxError {
    /// Reads a body. Returns `None` if it is not in Box's form: a JSON object of the type `error`,
    /// or with one of Box's codes.
    pub(super) fn read(body: &[u8], token: &AccessToken) -> Option<Self> {
        if body.len() > MAX_ERROR_BODY {
            return None;
        }
        let value: Value = json::read(body).ok()?;
        let text = |name| value.get(name)?.as_str();
        let known = text("code").is_some_and(|code| BOX_CODES.contains(&code));
        if text("type") != Some("error") && !known {
            return None;
        }
        let shown = |name| Some(shown(text(name)?.as_bytes(), token));
        Some(Self {
            code: shown("code"),
            message: shown("message"),
            request_id: shown("request_id"),
            parameter: parameter(&value),
        })
    }

    /// Returns the detail of the client's own error.
    pub(super) fn describe(&self, status: StatusCode) -> String {
        let mut detail = format!("Box responded {}", status.as_u16());
        if let Some(code) = &self.code {
            detail += &format!(" ({code})");
        }
        if let Some(message) = &self.message {
            detail += &format!(": {message}");
        }
        detail
    }
}

/// Returns the parameter that an error is about. Box names it beside the message, or in it.
fn parameter(error: &Value) -> Option<&'static str> {
    let known = |name: &str| PARAMETERS.into_iter().find(|known| *known == name);
    let listed = error
        .pointer("/context_info/errors")
        .and_then(Value::as_array);
    let named = listed
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get("name")?.as_str())
        .find_map(known);
    named.or_else(|| {
        let message = error.get("message")?.as_str()?.to_ascii_lowercase();
        let words = message.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let words = format!("_{words}_");
        PARAMETERS
            .into_iter()
            .find(|name| words.contains(&format!("_{name}_")))
    })
}

/// The length of a server's text that is read for a quotation, in bytes. The quotation is shorter,
/// and redaction shortens it further.
const READ_FOR_A_QUOTATION: usize = 1_024;

/// Returns the beginning of a server's text, redacted so that it can be shown.
pub(super) fn shown(text: &[u8], token: &AccessToken) -> String {
    let beginning = &text[..text.len().min(READ_FOR_A_QUOTATION)];
    let mut shown = token.scrub(&String::from_utf8_lossy(beginning));
    if beginning.len() < text.len() {
        // The token may lie across the cut.
        shown.truncate(token.partial_token_offset(&shown));
    }
    quote(&without_queries(&shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_across_the_cut_is_not_shown() {
        let token = AccessToken::new("T9cE5asGnuyYCCqIZFoWjFHvNbvVqT9cE5").unwrap();
        let text = token.text();
        for room in READ_FOR_A_QUOTATION - 2 * text.len()..=READ_FOR_A_QUOTATION {
            // The text before the token becomes a few characters, so the quotation reaches beyond
            // the cut.
            let query = format!("/s?{}", "x".repeat(room - 4));
            for end in ["", "T9c", text] {
                let body = format!("{query} {text}{end}");
                let shown = shown(body.as_bytes(), &token);
                assert!(shown.starts_with("/s?[query]"), "{shown}");
                assert!(!shown.contains("T9cE"), "{room}: {shown}");
            }
        }
    }

    #[test]
    fn quotation_may_end_within_a_character() {
        let token = AccessToken::new("a-token-of-nobody").unwrap();
        let query = format!("?{} é", "x".repeat(READ_FOR_A_QUOTATION - 3));
        assert_eq!(shown(query.as_bytes(), &token), "?[query] \u{fffd}");
    }
}
