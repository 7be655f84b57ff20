//! Tests that the `Debug` output of the engine, of tokens and of token sources shows no secret.

use std::sync::Arc;

use box_longpoll::auth::token_fn;
use box_longpoll::protocol::{Input, LongPoll, Output};
use box_longpoll::transport::Moment;
use box_longpoll::{LongPollClient, StartAt};
use bytes::Bytes;
use http::Response;

use crate::canary::{CHANNEL, TOKEN, assert_hidden, token};

/// The engine holds both secrets while it listens.
#[test]
fn engine_and_its_inputs_and_outputs_show_no_secret() {
    let config = LongPollClient::builder().config().unwrap();
    let mut shown = format!("{config:?} {:?}", LongPollClient::builder());
    let now = Moment::read_clocks();
    let start = StartAt::At("100".parse().unwrap());
    let mut engine = LongPoll::new(Arc::new(config), start, 7, now);
    let list = format!(
        r#"{{"entries":[{{"url":"https://2.realtime.services.box.net/subscribe?channel={CHANNEL}"}}]}}"#
    );
    let mut responses = [r#"{"next_stream_position":"100"}"#.to_owned(), list].into_iter();
    let mut polled = false;
    while !polled {
        let output = engine.poll_output(now);
        shown += &format!("{output:?} {engine:?} ");
        let input = match output {
            Output::GetToken { .. } => Input::Token(Ok(token())),
            Output::Send { call, request } => {
                let uri = request.request().uri().to_string();
                polled = uri.contains(CHANNEL);
                // The header is marked as sensitive, so its `Debug` output hides the token.
                shown += &format!("{:?}", request.request().headers());
                match responses.next() {
                    Some(body) => Input::Response {
                        call,
                        result: Ok(Response::new(Bytes::from(body))),
                    },
                    None => continue,
                }
            }
            output => panic!("{output:?}"),
        };
        shown += &format!("{input:?} ");
        engine.handle_input(input, now);
    }
    shown += &format!("{engine:?} {:?}", engine.status());
    assert_hidden("the output of the engine", &shown);
    assert!(shown.contains("realtime.services.box.net"), "{shown}");
}

#[test]
fn a_token_and_its_sources_show_no_secret() {
    let source = token_fn(|| async { Ok(token()) });
    let blocking = box_longpoll::blocking::token_fn(|| Ok(token()));
    let shown = format!("{:?} {:#?} {source:?} {blocking:?}", token(), token());
    assert_hidden("the output of tokens", &shown);
    assert!(!shown.contains(&TOKEN[..6]), "nor its beginning: {shown}");
}
