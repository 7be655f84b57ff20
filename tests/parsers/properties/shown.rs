//! What is shown of a failure: short, harmless to a terminal, and without the secrets.

use std::error::Error as StdError;

use box_longpoll::{Error, Status};

use super::answer::{CHANNEL, TOKEN};

/// Three quotations of a server of 200 characters each, escaped twice, and what is said around them.
const LONGEST: usize = 16 * 1024;

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

#[track_caller]
pub(crate) fn assert_chain(error: &dyn StdError) {
    let mut link = Some(error);
    while let Some(error) = link {
        assert_text(&error.to_string());
        assert_text(&format!("{error:?}"));
        link = error.source();
    }
}

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

#[track_caller]
pub(crate) fn assert_text(text: &str) {
    let beginning: String = text.chars().take(200).collect();
    assert!(text.len() <= LONGEST, "{} bytes: {beginning}", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(!text.contains(TOKEN), "the token is shown: {text}");
    assert_no_channel(text);
}

#[track_caller]
pub(crate) fn assert_no_channel(text: &str) {
    assert!(!text.contains(CHANNEL), "the channel is shown: {text}");
}
