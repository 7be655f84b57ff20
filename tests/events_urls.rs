//! Proves that the longest filter and the longest position fit into a URL that HTTP libraries
//! accept.

use std::sync::Arc;

use box_longpoll::EventType;
use box_longpoll::config::Config;
use box_longpoll::enterprise::{AdminLogs, AdminLogsStreaming};
use box_longpoll::protocol::{Input, LongPoll, Output};
use box_longpoll::transport::Moment;
use box_longpoll::{AccessToken, LongPollClient, StartAt, StreamPosition};
use http::Uri;
use jiff::Timestamp;

/// Returns the longest position. Each byte of its text needs three bytes in a URL.
fn longest_position() -> StartAt {
    StartAt::At("é".repeat(8 * 1024).parse::<StreamPosition>().unwrap())
}

/// Returns settings with the longest host name that DNS permits.
fn config() -> Config {
    let host = ["a".repeat(61).as_str(); 4].join(".") + ".bcdefg";
    assert_eq!(host.len(), 254);
    let origin = format!("https://{}:65000", &host[1..]);
    LongPollClient::builder()
        .api_origin(origin)
        .config()
        .unwrap()
}

/// Returns the largest filter of event types that `is_accepted` accepts.
fn most_types(is_accepted: impl Fn(&[EventType]) -> bool) -> Vec<EventType> {
    let mut types = EventType::DOCUMENTED.to_vec();
    assert!(is_accepted(&types));
    let mut number = 0;
    while is_accepted(&types) {
        types.push(EventType::from(format!("É{number}")));
        number += 1;
    }
    types.pop();
    types
}

/// Returns the URL of the first page.
fn url_of_a_page(config: Config) -> Uri {
    let now = Moment::read_clocks();
    let mut engine = LongPoll::new(Arc::new(config), longest_position(), 1, now);
    loop {
        match engine.poll_output(now) {
            Output::GetToken { .. } => {
                let token = AccessToken::new("token").unwrap();
                engine.handle_input(Input::Token(Ok(token)), now);
            }
            Output::Send { request, .. } => return request.request().uri().clone(),
            output => panic!("{output:?}"),
        }
    }
}

#[test]
fn longest_filter_and_position_fit_into_the_url_of_a_stream() {
    let with = |types: &[EventType]| AdminLogsStreaming::default().event_types(types.to_vec());
    let types = most_types(|types| config().enterprise(with(types)).is_ok());
    let config = config().enterprise(with(&types)).unwrap();
    assert!(url_of_a_page(config).to_string().len() > 50_000);
}

#[test]
fn longest_filter_and_position_fit_into_the_url_of_a_query() {
    let with = |types: &[EventType]| {
        AdminLogs::new()
            .event_types(types.to_vec())
            .created_after(Timestamp::UNIX_EPOCH)
            .created_before(Timestamp::MAX)
    };
    let types = most_types(|types| config().admin_logs(with(types)).is_ok());
    let config = config().admin_logs(with(&types)).unwrap();
    let url = url_of_a_page(config).to_string();
    assert!(url.contains("created_before=") && url.len() > 50_000);
}
