//! Fetching and listening side by side: pages that are read ahead, polls beside a fetch, and what
//! the two lanes share.

use std::time::Duration;

use box_longpoll::protocol::Call;
use box_longpoll::transport::TransportErrorKind;
use box_longpoll::{ErrorKind, LongPollClient, Status};

use crate::script::{Script, failed, page, server_list, signal, status, status_with};

#[test]
fn next_page_is_fetched_while_a_batch_is_handled() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_unhandled_batch(&["a"]);
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.assert_position("100");
    // One page is read ahead, and not two.
    script.expect_no_call(Call::Fetch);
    script.handled().assert_position("200");
    script.expect_unhandled_batch(&["b"]);
    script.assert_position("200");
    script.expect_fetch("300").reply(page("300", &[]));
    script.assert_position("200");
    script.handled().assert_position("300");
}

#[test]
fn page_without_events_moves_with_the_batch_before_it() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_unhandled_batch(&["a"]);
    script.expect_fetch("200").reply(page("250", &[]));
    script.expect_fetch("250").reply(page("250", &[]));
    script.assert_position("100");
    script.handled().assert_position("250");
}

#[test]
fn nothing_is_read_ahead_when_the_setting_says_so() {
    let mut script = Script::with(LongPollClient::builder().read_ahead(0), "100");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_unhandled_batch(&["a"]);
    script.expect_no_call(Call::Fetch);
    script.handled().expect_fetch("200");
}

#[test]
fn poll_opens_beside_the_fetch_that_confirms() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_poll("200");
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_idle();
}

#[test]
fn full_page_opens_no_poll() {
    let builder = LongPollClient::builder().page_limit(2);
    let mut script = Script::listening_with(builder, 1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a", "b"]));
    script.expect_batch(&["a", "b"]);
    script.expect_fetch("200");
    script.expect_idle();
    script.reply(page("300", &["c"])).expect_batch(&["c"]);
    script.expect_poll("300");
}

#[test]
fn signal_causes_no_second_fetch_when_one_is_not_sent_yet() {
    let mut script = Script::listening(1);
    script.reply(signal("reconnect"));
    script.expect_fetch("100").reply(status(500));
    // The fetch is made again after its backoff, and finds the event of the next signal.
    script.expect_list().reply(server_list(1));
    script.expect_poll("100").reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_poll("200");
    script.expect_idle();
}

#[test]
fn signal_during_a_fetch_causes_another_fetch() {
    let mut script = Script::listening(1);
    script.reply(signal("reconnect"));
    script.expect_fetch("100");
    script.expect_list().reply(server_list(1));
    script.expect_poll("100").reply(signal("new_change"));
    // The page may have been read before the event.
    script.reply_to(Call::Fetch, page("100", &[]));
    script.expect_fetch("100").assert_waited(0.0, 0.0);
    script.reply(page("200", &["a"])).expect_batch(&["a"]);
}

#[test]
fn signal_of_a_known_event_causes_no_fetch() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("300");
    // The poll at 200 signals the event that the page from 200 has brought. The next one opens when
    // the drain is over.
    script.expect_poll("200").reply(signal("new_change"));
    script.expect_idle();
    script.reply_to(Call::Fetch, page("300", &[]));
    script.expect_poll("300");
    script.expect_idle();
}

#[test]
fn busy_account_gets_one_poll_beside_a_drain() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    for n in 100..115 {
        let (from, next) = (n.to_string(), (n + 1).to_string());
        script.expect_fetch(&from).reply(page(&next, &[&next]));
        script.expect_batch(&[&next]);
        if n == 100 {
            script.expect_poll("101").reply(signal("new_change"));
        }
    }
    script.expect_fetch("115");
    script.expect_idle();
    script.reply(page("115", &[])).expect_poll("115");
}

#[test]
fn batches_come_before_the_error_that_stops_the_stream() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_unhandled_batch(&["a"]);
    script.expect_fetch("200").reply(status(403));
    script.expect_idle();
    assert!(matches!(script.current_status(), Status::Delivering));
    script.handled().assert_position("200");
    script.expect_stop(ErrorKind::Forbidden);
}

#[test]
fn retry_after_holds_for_both_lanes() {
    let mut script = Script::listening(1);
    script.reply(signal("reconnect"));
    let busy = status_with(429, &[("retry-after", "30")], "");
    script.expect_list();
    script.expect_fetch("100").reply(busy);
    // Without that wait, the list would be requested again at once.
    script.reply_to(Call::List, status(500));
    script.expect_any().assert_waited(30.0, 31.0);
}

#[test]
fn two_calls_with_an_expired_token_cause_one_refresh() {
    let mut script = Script::listening(1);
    script.reply(signal("reconnect"));
    script.expect_list();
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh();
    script.reply_to(Call::List, status(401));
    script.give_newer_token("token-2");
    // Neither call stops the stream, and both are made again with the newer token.
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_poll("100");
}

#[test]
fn late_refusal_of_the_older_token_stops_nothing() {
    let mut script = Script::listening(1);
    script.reply(signal("reconnect"));
    script.expect_list();
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh();
    script.give_newer_token("token-2");
    script.expect_fetch("100");
    script.reply_to(Call::List, status(401));
    script.expect_list().reply(server_list(1));
    script.expect_poll("100");
}

#[test]
fn token_of_a_later_refresh_is_sent_while_none_was_accepted() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh();
    script.give_newer_token("token-2");
    script.expect_fetch("100").reply(status(500));
    script.use_token("token-3");
    let authorization =
        |script: &Script| script.sent().request().headers()["authorization"].clone();
    script.expect_fetch("100");
    assert_eq!(authorization(&script), "Bearer token-3");
    // A faulty source returns the first token again.
    script.reply(status(500)).use_token("token-1");
    script.expect_fetch("100");
    assert_eq!(authorization(&script), "Bearer token-1");
}

#[test]
fn start_at_now_is_handled_before_the_first_poll() {
    let mut script = Script::start("now");
    script.expect_fetch("now").reply(page("100", &["a"]));
    script.expect_unhandled_batch(&["a"]);
    script.expect_fetch("100");
    script.expect_no_call(Call::List);
    script.assert_position("now");
    script.handled().assert_position("100");
}

#[test]
fn poll_teaches_nothing_when_it_timed_out_unpolled() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_poll("200");
    assert_eq!(script.sent().timeout(), Duration::from_secs(615));
    script.expect_unhandled_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    // The consumer is away for longer than the poll is held.
    script.pass(Duration::from_secs(700)).handled();
    script.reply_to(Call::Listen, failed(TransportErrorKind::Timeout));
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_poll("200");
    assert_eq!(script.sent().timeout(), Duration::from_secs(615));
}

#[test]
fn probe_is_repeated_when_nobody_polled_it() {
    let mut script = Script::unsure_of_positions("100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_poll("100").reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a"]));
    // The server responds to the probe while the consumer works for a minute.
    script.expect_poll("100");
    script.expect_unhandled_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.pass(Duration::from_secs(60)).handled();
    script.reply_to(Call::Listen, signal("new_change"));
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_poll("100").pass(Duration::from_secs(1));
    script.reply(signal("new_change"));
    script.expect_fetch("200").reply(page("200", &[]));
    assert!(!script.positions_are_honored());
    script.expect_poll("100").reply(signal("new_change"));
    script.expect_fetch("200").reply(page("200", &[]));
    assert!(script.positions_are_honored());
}

#[test]
fn server_of_a_new_list_is_not_skipped() {
    let builder = LongPollClient::builder().max_hold(Duration::from_secs(60));
    let mut script = Script::listening_with(builder, 1);
    for _ in 0..6 {
        script.pass(Duration::from_secs(60));
        script.reply_to(Call::Listen, failed(TransportErrorKind::Timeout));
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_poll("100");
    }
    // The URL is used up, and the poll missed an event, so its server would be skipped.
    script.pass(Duration::from_secs(60));
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_poll("200");
}

#[test]
fn batch_waits_until_a_token_has_come() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_no_batch_before_the_token();
    script.expect_batch(&["a"]);
}

#[test]
fn suspension_drops_both_requests() {
    let mut script = Script::listening(1);
    script.reply(signal("reconnect"));
    script.expect_fetch("100");
    script.expect_list();
    script
        .suspend(Duration::from_secs(3_600))
        .check_clocks_now();
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list();
}

#[test]
fn suspension_while_a_batch_is_handled_is_noticed() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_unhandled_batch(&["a"]);
    script.expect_fetch("200");
    script.suspend(Duration::from_secs(3_600)).handled();
    script.expect_fetch("200");
}

#[test]
fn polls_end_before_the_cut_that_three_polls_met() {
    let mut script = Script::listening(1);
    // The first poll has been held for nine seconds.
    for millis in [51_000, 59_500, 60_200] {
        assert_eq!(script.sent().timeout(), Duration::from_secs(615));
        script.cut_poll_after(millis);
    }
    let limit = Duration::from_millis(58_310);
    assert_eq!(script.sent().timeout(), limit);
    assert_eq!(script.listening_limit(), Some(limit));
    // The poll ends by itself, and the next one opens at once, beside a fetch.
    script
        .pass(limit)
        .reply(failed(TransportErrorKind::Timeout))
        .expect_fetch("100");
    script.expect_poll("100").assert_waited(0.0, 0.0);
    script.reply_to(Call::Fetch, page("100", &[]));
    // A longer poll is tried once an hour. If it is cut too, the limit holds again.
    script.pass(Duration::from_secs(3_600));
    script.reply_to(Call::Listen, failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_poll("100");
    assert_eq!(script.sent().timeout(), Duration::from_secs(615));
    script.cut_poll_after(60_000);
    assert_eq!(script.sent().timeout(), limit);
}

#[test]
fn cuts_after_different_times_teach_nothing() {
    let mut script = Script::listening(1);
    for millis in [60_000, 90_000, 60_000, 90_000] {
        script.cut_poll_after(millis);
        assert_eq!(script.sent().timeout(), Duration::from_secs(615));
    }
    assert_eq!(script.listening_limit(), None);
}

#[test]
fn fetch_is_made_beside_the_poll_by_max_staleness() {
    let staleness = Duration::from_secs(5);
    let builder = LongPollClient::builder().max_staleness(staleness);
    let mut script = Script::listening_with(builder, 1);
    for _ in 0..3 {
        script.expect_fetch("100").reply(page("100", &[]));
        assert!(script.waited() <= staleness);
    }
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    // The poll is still the first one.
    script.reply_to(Call::Listen, signal("reconnect"));
    script.expect_list();
}

#[test]
fn pause_after_failed_polls_is_no_staler_than_the_setting() {
    let staleness = Duration::from_secs(5);
    let builder = LongPollClient::builder().max_staleness(staleness);
    let mut script = Script::with(builder, "100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(0));
    for _ in 0..5 {
        script.expect_fetch("100").assert_waited(4.0, 5.0);
        script.reply(page("100", &[]));
    }
    assert!(matches!(script.current_status(), Status::Degraded { .. }));
}
