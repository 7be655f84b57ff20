//! What the engine does when the machine has slept.

use std::time::Duration;

use box_longpoll::ErrorKind;
use box_longpoll::protocol::CLOCK_CHECK_INTERVAL;
use box_longpoll::transport::TransportErrorKind;

use crate::script::{Script, failed, page, server_list, signal, status, status_with};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn ticks_change_nothing_while_the_machine_is_awake() {
    let mut script = Script::listening(1);
    for _ in 0..20 {
        script.tick_after(CLOCK_CHECK_INTERVAL).expect_idle();
    }
    script.reply(signal("new_change")).expect_fetch("100");
}

#[test]
fn a_poll_that_a_sleep_has_cut_off_gives_way_to_a_fetch_and_a_new_list() {
    let mut script = Script::listening(2);
    script
        .tick_after(CLOCK_CHECK_INTERVAL)
        .sleep(HOUR)
        .expect_idle();
    script
        .tick_after(CLOCK_CHECK_INTERVAL)
        .expect_fetch("100")
        .assert_waited(0.0, 0.0);
    script.reply(page("200", &["a"])).expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("200");
    script.tick_after(CLOCK_CHECK_INTERVAL).expect_idle();
}

#[test]
fn a_sleep_too_short_to_cut_anything_off_is_let_pass() {
    let mut script = Script::listening(1);
    script.sleep(Duration::from_secs(9));
    script.tick_after(CLOCK_CHECK_INTERVAL).expect_idle();
}

#[test]
fn a_clock_that_is_set_costs_one_look() {
    for set in [Script::sleep, Script::set_clock_back] {
        let mut script = Script::listening(1);
        set(&mut script, DAY);
        script
            .tick_after(CLOCK_CHECK_INTERVAL)
            .expect_fetch("100")
            .reply(page("100", &[]));
        script.expect_list().reply(server_list(1));
        script.expect_listen("100");
        script.tick_after(CLOCK_CHECK_INTERVAL).expect_idle();
    }
}

#[test]
fn a_call_that_a_sleep_has_cut_off_is_made_again_from_the_same_position() {
    let mut script = Script::start("100");
    script
        .expect_fetch("100")
        .sleep(HOUR)
        .tick_after(CLOCK_CHECK_INTERVAL);
    script.expect_fetch("100").assert_waited(0.0, 0.0);
    script.reply(page("100", &[]));
    script
        .expect_list()
        .sleep(HOUR)
        .tick_after(CLOCK_CHECK_INTERVAL);
    script.expect_fetch("100").assert_waited(0.0, 0.0);
}

#[test]
fn what_a_consumer_did_not_ask_about_for_long_goes_on() {
    let mut script = Script::listening(1);
    script.tick_after(HOUR).expect_idle();
    script.reply(signal("new_change"));
    script.expect_fetch("100").tick_after(HOUR).expect_idle();
    script.reply(page("200", &["a"])).expect_batch(&["a"]);
}

#[test]
fn a_pause_that_a_failed_poll_left_ends_with_a_sleep_in_the_fetch_before_it() {
    let mut script = Script::listening(1);
    script.reply(failed(TransportErrorKind::Connect));
    script
        .expect_fetch("100")
        .sleep(HOUR)
        .tick_after(CLOCK_CHECK_INTERVAL);
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().assert_waited(0.0, 0.0);
}

#[test]
fn a_token_that_was_renewed_before_a_sleep_may_have_run_out() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    script
        .expect_fetch("100")
        .sleep(HOUR)
        .tick_after(CLOCK_CHECK_INTERVAL);
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-3");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
}

#[test]
fn a_pause_after_a_failure_ends_with_a_sleep() {
    let mut script = Script::start("100");
    for _ in 0..8 {
        script.expect_fetch("100");
        script.reply(failed(TransportErrorKind::Connect));
    }
    script.sleep(HOUR).tick_now();
    script.expect_fetch("100").assert_waited(0.0, 0.0);
}

#[test]
fn a_server_that_asked_to_be_left_alone_is_whatever_the_clock_says() {
    let mut script = Script::start("100");
    let busy = status_with(503, &[("retry-after", "40")], "");
    script.expect_fetch("100").reply(busy);
    let before = script.until();
    script.sleep(HOUR).tick_now();
    assert_eq!(script.until(), before + HOUR, "it shows when");
    script.expect_fetch("100").assert_waited(40.0, 41.0);
}

#[test]
fn a_late_look_is_not_hurried_by_a_sleep() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("100", &[]));
    script.sleep(HOUR).tick_now();
    script.expect_fetch("100").assert_waited(1.0, 1.0);
}

#[test]
fn a_tick_means_nothing_to_a_batch_a_token_and_a_stream_that_has_stopped() {
    let mut script = Script::start("100");
    script.sleep(HOUR).tick_now();
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_unhandled_batch(&["a"]);
    script.sleep(HOUR).tick_now().expect_idle();
    script.handled().expect_fetch("200").reply(status(401));
    script.expect_refresh();
    script.sleep(HOUR).tick_now().expect_idle();
    script.give_newer_token("token-2");
    script.expect_fetch("200").reply(status(403));
    script.expect_stop(ErrorKind::Forbidden);
    script.sleep(HOUR).tick_now().expect_idle();
}
