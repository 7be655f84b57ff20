//! The property of a response of Box's API with an error status.

use box_longpoll::protocol::{Call, Output};
use box_longpoll::{LongPollClient, StartAt};
use futures_lite::future::block_on;
use http::StatusCode;

use super::exchange::{Engine, POSITION, client};
use super::response::response;
use super::shown;

/// Asserts that the response is an error with that status, and does not move the position.
pub(crate) fn holds(data: &[u8]) {
    let mut response = response(data);
    if response.status().is_success() {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    let client = client(LongPollClient::builder(), &response);
    let page_error = block_on(client.fetch(StartAt::Now)).expect_err("an error status");
    let list_error = block_on(client.realtime_servers()).expect_err("an error status");
    for error in [page_error, list_error] {
        shown::assert_error(&error);
        // A longer body may exceed the size limit, and then the error has no status.
        if response.body().len() <= 64 * 1024 {
            assert_eq!(error.status(), Some(response.status()));
        }
    }

    for call in [Call::Fetch, Call::List, Call::Listen] {
        let mut engine = Engine::awaiting(call);
        engine.respond(response.clone());
        let output = engine.next();
        assert!(matches!(output, Output::Send { .. } | Output::Stop(_)));
        assert_eq!(engine.position(), Some(POSITION));
    }
}
