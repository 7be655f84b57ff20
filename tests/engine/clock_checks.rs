//! The engine's behavior after the machine was suspended, or its clock was set.

use std::time::Duration;

use box_longpoll::config::Pace;
use box_longpoll::protocol::CLOCK_CHECK_INTERVAL;
use box_longpoll::transport::TransportErrorKind;
use box_longpoll::{ErrorKind, LongPollClient};

use crate::script::{Script, failed, page, server_list, signal, status, status_with};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn clock_checks_change_nothing_while_the_machine_is_awake() {
    let mut script = Script::listening(1);
    for _ in 0..20 {
        script
            .check_clocks_after(CLOCK_CHECK_INTERVAL)
            .expect_idle();
    }
    script.reply(signal("new_change")).expect_fetch("100");
}

#[test]
fn poll_is_dropped_when_the_machine_was_suspended() {
    let mut script = Script::listening(2);
    script
        .check_clocks_after(CLOCK_CHECK_INTERVAL)
        .suspend(HOUR);
    script
        .check_clocks_after(CLOCK_CHECK_INTERVAL)
        .expect_fetch("100")
        .assert_waited(0.0, 0.0);
    script.reply(page("200", &["a"])).expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("200");
    script
        .check_clocks_after(CLOCK_CHECK_INTERVAL)
        .expect_idle();
}

#[test]
fn short_suspension_changes_nothing() {
    let mut script = Script::listening(1);
    script.suspend(Duration::from_secs(9));
    script
        .check_clocks_after(CLOCK_CHECK_INTERVAL)
        .expect_idle();
}

#[test]
fn setting_the_clock_costs_one_fetch() {
    for set in [Script::suspend, Script::set_clock_back] {
        let mut script = Script::listening(1);
        set(&mut script, DAY);
        script
            .check_clocks_after(CLOCK_CHECK_INTERVAL)
            .expect_fetch("100")
            .reply(page("100", &[]));
        script.expect_list().reply(server_list(1));
        script.expect_listen("100");
        script
            .check_clocks_after(CLOCK_CHECK_INTERVAL)
            .expect_idle();
    }
}

#[test]
fn call_is_repeated_when_the_machine_was_suspended() {
    let mut script = Script::start("100");
    script
        .expect_fetch("100")
        .suspend(HOUR)
        .check_clocks_after(CLOCK_CHECK_INTERVAL);
    script.expect_fetch("100").assert_waited(0.0, 0.0);
    script.reply(page("100", &[]));
    script
        .expect_list()
        .suspend(HOUR)
        .check_clocks_after(CLOCK_CHECK_INTERVAL);
    script.expect_fetch("100").assert_waited(0.0, 0.0);
}

#[test]
fn request_continues_when_the_consumer_was_slow() {
    let mut script = Script::listening(1);
    script.check_clocks_after(HOUR).expect_idle();
    script.reply(signal("new_change"));
    script
        .expect_fetch("100")
        .check_clocks_after(HOUR)
        .expect_idle();
    script.reply(page("200", &["a"])).expect_batch(&["a"]);
}

#[test]
fn suspension_during_a_fetch_ends_the_pause_after_it() {
    let mut script = Script::listening(1);
    script.reply(failed(TransportErrorKind::Connect));
    script
        .expect_fetch("100")
        .suspend(HOUR)
        .check_clocks_after(CLOCK_CHECK_INTERVAL);
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().assert_waited(0.0, 0.0);
}

#[test]
fn token_refreshed_before_a_suspension_may_have_expired() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    script
        .expect_fetch("100")
        .suspend(HOUR)
        .check_clocks_after(CLOCK_CHECK_INTERVAL);
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-3");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
}

#[test]
fn suspension_ends_the_pause_after_a_failure() {
    let mut script = Script::start("100");
    for _ in 0..8 {
        script.expect_fetch("100");
        script.reply(failed(TransportErrorKind::Connect));
    }
    script.suspend(HOUR).check_clocks_now();
    script.expect_fetch("100").assert_waited(0.0, 0.0);
}

#[test]
fn suspension_does_not_shorten_retry_after() {
    let mut script = Script::start("100");
    let busy = status_with(503, &[("retry-after", "40")], "");
    script.expect_fetch("100").reply(busy);
    let before = script.until();
    script.suspend(HOUR).check_clocks_now();
    assert_eq!(
        script.until(),
        before + HOUR,
        "the status shows the new end"
    );
    script.expect_fetch("100").assert_waited(40.0, 41.0);
}

#[test]
fn suspension_does_not_hurry_a_late_check() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("100", &[]));
    script.suspend(HOUR).check_clocks_now();
    script.expect_fetch("100").assert_waited(1.0, 1.0);
}

#[test]
fn clock_check_keeps_batches_tokens_and_stops() {
    let mut script = Script::with(LongPollClient::builder().read_ahead(0), "100");
    script.suspend(HOUR).check_clocks_now();
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_unhandled_batch(&["a"]);
    script.suspend(HOUR).check_clocks_now().expect_idle();
    script.handled().expect_fetch("200").reply(status(401));
    script.expect_refresh();
    script.suspend(HOUR).check_clocks_now().expect_idle();
    script.give_newer_token("token-2");
    script.expect_fetch("200").reply(status(403));
    script.expect_stop(ErrorKind::Forbidden);
    script.suspend(HOUR).check_clocks_now().expect_idle();
}

#[test]
fn suspension_is_noticed_before_the_next_request_is_sent() {
    let pace = Pace::default().per_second(2);
    let mut script = Script::listening_with(LongPollClient::builder().pace(pace), 1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    // The next poll waits for the pace, and has no input to wait for.
    script.expect_fetch("200");
    script.suspend(HOUR);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_listen("200");
}
