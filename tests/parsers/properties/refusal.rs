//! An answer of Box's API with a bad status, and what it says.

use box_longpoll::protocol::{Call, Output};
use box_longpoll::{LongPollClient, StartAt};
use futures_lite::future::block_on;
use http::StatusCode;

use super::answer::answer;
use super::exchange::{Engine, POSITION, client};
use super::shown;

/// It is an error of that status, and moves nothing.
pub(crate) fn holds(data: &[u8]) {
    let mut answer = answer(data);
    if answer.status().is_success() {
        *answer.status_mut() = StatusCode::BAD_REQUEST;
    }
    let client = client(LongPollClient::builder(), &answer);
    let of_a_page = block_on(client.fetch(StartAt::Now)).expect_err("a bad status");
    let of_a_list = block_on(client.realtime_servers()).expect_err("a bad status");
    for error in [of_a_page, of_a_list] {
        shown::assert_error(&error);
        // Where there is no body at all to be read, the cap on bodies counts.
        if answer.body().len() <= 64 * 1024 {
            assert_eq!(error.status(), Some(answer.status()));
        }
    }

    for call in [Call::Fetch, Call::List, Call::Listen] {
        let mut engine = Engine::asking(call);
        engine.answer(answer.clone());
        let output = engine.next();
        assert!(matches!(output, Output::Send { .. } | Output::Stop(_)));
        assert_eq!(engine.position(), Some(POSITION));
    }
}
