//! The requests of the engine: their URLs, headers and limits.

use box_longpoll::LongPollClient;
use box_longpoll::protocol::Call;

use crate::script::{Script, page, server_list, signal};

#[test]
fn start_at_the_oldest_event_fetches_position_0() {
    let mut script = Script::start("oldest");
    script.expect_fetch("0").reply(page("200", &["a"]));
    script.expect_batch(&["a"]).assert_position("200");
}

#[test]
fn requests_name_the_stream_the_limit_and_the_user() {
    let builder = LongPollClient::builder()
        .page_limit(7)
        .user_agent("me/1")
        .api_origin("https://box.example:444");
    let config = builder.config().unwrap().as_user("42").unwrap();
    let mut script = Script::of(config, "100".parse().unwrap(), 7);
    script.expect_fetch("100");
    let request = script.sent().request();
    assert_eq!(
        request.uri(),
        "https://box.example:444/2.0/events?stream_type=all&stream_position=100&limit=7"
    );
    assert_eq!(request.headers()["as-user"], "42");
    assert_eq!(request.headers()["user-agent"], "me/1");
    assert_eq!(request.headers()["authorization"], "Bearer token-1");
    script.reply(page("100", &[])).expect_list();
    assert_eq!(script.sent().request().headers()["as-user"], "42");
}

#[test]
fn a_position_is_escaped_in_urls() {
    let mut script = Script::start("a&b=c#d");
    script.expect_fetch("a%26b%3Dc%23d");
}

#[test]
fn response_limits_are_those_of_the_security_page() {
    let mut script = Script::start("100");
    script.expect_fetch("100");
    assert_eq!(script.sent().max_body(), 16 << 20);
    script.reply(page("100", &[])).expect_list();
    assert_eq!(script.sent().max_body(), 256 << 10);
    script.reply(server_list(1)).expect_listen("100");
    assert_eq!(script.sent().max_body(), 64 << 10);
}

#[test]
fn response_is_ignored_when_its_call_is_not_in_flight() {
    let mut script = Script::start("100");
    script.expect_fetch("100");
    script.reply_to(Call::List, server_list(1)).expect_idle();
    script.reply_to(Call::Listen, signal("new_change"));
    script.expect_idle().reply_to(Call::Fetch, page("100", &[]));
    script.expect_list();
    script.reply_to(Call::Fetch, page("200", &["a"]));
    script.expect_idle().reply_to(Call::List, server_list(1));
    script.expect_listen("100");
    script
        .reply_to(Call::Fetch, page("200", &["a"]))
        .expect_idle();
    script.reply_to(Call::Listen, signal("new_change"));
    script.expect_fetch("100").assert_position("100");
}
