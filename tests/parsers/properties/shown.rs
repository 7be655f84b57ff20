//! The property of all texts about a failure: they are short, cannot control a terminal, and
//! contain no secrets.

use std::error::Error as StdError;

use box_longpoll::{Error, Status};

use super::response::{CHANNEL, TOKEN};

/// The maximum length of a text, in bytes: three quotations of a server with 200 characters each,
/// escaped twice, and the text around them.
const MAX_LENGTH: usize = 16 * 1024;

/// Asserts the property for an error, its causes and its fields.
#[track_caller]
pub(crate) fn assert_error(error: &Error) {
    assert_chain(error);
    for text in [error.code(), error.request_id()].into_iter().flatten() {
        assert_text(text);
    }
    if let Some(wait) = error.retry_after() {
        assert!(wait.as_secs() <= 3_600, "{wait:?}");
    }
}

/// Asserts the property for an error and its causes.
#[track_caller]
pub(crate) fn assert_chain(error: &dyn StdError) {
    let mut link = Some(error);
    while let Some(error) = link {
        assert_text(&error.to_string());
        assert_text(&format!("{error:?}"));
        link = error.source();
    }
}

/// Asserts the property for a status and its error.
#[track_caller]
pub(crate) fn assert_status(status: &Status) {
    assert_text(&status.to_string());
    assert_text(&format!("{status:?}"));
    if let Status::Retrying { because, .. }
    | Status::Degraded { because, .. }
    | Status::Stopped {
        because: Some(because),
        ..
    } = status
    {
        assert_error(because);
    }
}

/// Asserts the property for a text.
#[track_caller]
pub(crate) fn assert_text(text: &str) {
    let beginning: String = text.chars().take(200).collect();
    assert!(
        text.len() <= MAX_LENGTH,
        "{} bytes: {beginning}",
        text.len()
    );
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(!text.contains(TOKEN), "the token is shown: {text}");
    assert_no_channel(text);
}

/// Asserts that a text does not contain the channel.
#[track_caller]
pub(crate) fn assert_no_channel(text: &str) {
    assert!(!text.contains(CHANNEL), "the channel is shown: {text}");
}
