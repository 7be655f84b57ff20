//! The property of the list of realtime servers.

use std::time::Duration;

use box_longpoll::LongPollClient;
use box_longpoll::protocol::{Call, Output, RealtimeServer};
use futures_lite::future::block_on;

use super::exchange::{Engine, POSITION, client};
use super::response::response;
use super::shown;

/// Asserts that listed servers have Box's hosts and usable numbers. A list without a usable server
/// does not stop the stream, except with the statuses 401 and 403.
pub(crate) fn holds(data: &[u8]) {
    let response = response(data);
    match block_on(client(LongPollClient::builder(), &response).realtime_servers()) {
        Ok(servers) => servers.iter().for_each(assert_usable),
        Err(error) => shown::assert_error(&error),
    }

    let mut engine = Engine::awaiting(Call::List);
    let stops = matches!(response.status().as_u16(), 401 | 403);
    engine.respond(response);
    match engine.next() {
        Output::Send {
            call: Call::Listen,
            request,
        } => {
            let host = request.request().uri().host().unwrap_or_default();
            assert!(is_boxs(host), "{host}");
            assert!(!request.request().headers().contains_key("authorization"));
        }
        // A failed list is requested once more, before events are fetched.
        Output::Send { .. } => {}
        Output::Stop(error) => assert!(stops, "{error}"),
        output => panic!("{output:?}"),
    }
    assert_eq!(engine.position(), Some(POSITION));
}

/// Asserts that a server has one of Box's hosts and usable numbers.
fn assert_usable(server: &RealtimeServer) {
    let seconds = Duration::from_secs;
    assert!(is_boxs(server.host()), "{server:?}");
    assert!(server.max_retries() >= 1, "{server:?}");
    assert!((seconds(10)..=seconds(1_200)).contains(&server.retry_timeout()));
    assert!(server.ttl().is_none_or(|ttl| ttl >= seconds(60)));
    // Its host is shown, which is any name that Box sent.
    shown::assert_no_channel(&format!("{server:?}"));
}

fn is_boxs(host: &str) -> bool {
    host.ends_with(".box.com") || host.ends_with(".box.net")
}
