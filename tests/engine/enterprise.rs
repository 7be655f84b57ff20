//! How the engine looks for an enterprise's events.

use std::time::Duration;

use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::protocol::{CLOCK_CHECK_INTERVAL, Response};
use box_longpoll::transport::TransportErrorKind;
use box_longpoll::{EventType, Status};
use http::Method;

use crate::script::{Script, body, failed, page, status, status_with};

fn streaming() -> AdminLogsStreaming {
    AdminLogsStreaming::default()
}

/// An engine that has just looked in vain, at position 100.
fn idle() -> Script {
    let mut script = Script::streaming(streaming(), "100");
    script.expect_fetch("100").reply(page("100", &[]));
    script
}

/// A look that finds nothing.
fn looks_in_vain(script: &mut Script) -> f64 {
    script.expect_fetch("100");
    let waited = script.waited().as_secs_f64();
    script.reply(page("100", &[]));
    waited
}

#[test]
fn after_a_look_that_found_something_the_next_comes_after_the_shortest_interval() {
    let mut script = idle();
    for _ in 0..10 {
        looks_in_vain(&mut script);
    }
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").assert_waited(0.0, 0.0);
    script.reply(page("200", &[]));
    script.expect_fetch("200").assert_waited(1.0, 1.0);
}

#[test]
fn each_look_in_vain_doubles_the_interval_up_to_the_longest() {
    let mut script = idle();
    for longest in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0_f64] {
        let waited = looks_in_vain(&mut script);
        let least = (longest * 0.8).max(1.0);
        assert!(
            (least..=longest + 0.001).contains(&waited),
            "{waited} of {longest}"
        );
    }
}

#[test]
fn the_intervals_are_the_callers_to_set() {
    let (shortest, longest) = (Duration::from_millis(300), Duration::from_millis(500));
    let streaming = streaming()
        .shortest_interval(shortest)
        .longest_interval(longest)
        .calls_per_minute(1_000);
    let mut script = Script::streaming(streaming, "100");
    script.expect_fetch("100").reply(page("100", &[]));
    for _ in 0..20 {
        let waited = looks_in_vain(&mut script);
        assert!((0.3..=0.501).contains(&waited), "{waited}");
    }
}

#[test]
fn streams_that_start_together_do_not_look_together() {
    let looks = |seed| {
        let mut script = Script::streaming_by(seed, streaming(), "100");
        (0..20).map(|_| looks_in_vain(&mut script)).sum::<f64>()
    };
    let mut times: Vec<f64> = (0..20).map(looks).collect();
    times.sort_by(f64::total_cmp);
    let apart = times.last().unwrap() - times[0];
    assert!(apart > 5.0, "within {apart} s");
}

#[test]
fn neither_servers_nor_signals_are_ever_asked_for() {
    let mut script = Script::streaming(streaming(), "now");
    script.expect_fetch("now").reply(page("100", &[]));
    let mut position = 100;
    for n in 0..1_000 {
        let request = script.expect_any().asked().request();
        assert_eq!(request.method(), Method::GET);
        assert_eq!(request.uri().path(), "/2.0/events");
        match n % 7 {
            0 => script.reply(failed(TransportErrorKind::Timeout)),
            1 => script.reply(status(503)),
            2 => {
                position += 1;
                let id = position.to_string();
                script.reply(page(&id, &[&id])).expect_batch(&[&id])
            }
            _ => script.reply(page(&position.to_string(), &[])),
        };
    }
}

#[test]
fn now_is_resolved_first_and_looked_behind_after_the_shortest_interval() {
    let mut script = Script::streaming(streaming(), "now");
    script.expect_fetch("now").reply(page("100", &[]));
    script.expect_fetch("100").assert_waited(1.0, 1.0);
}

#[test]
fn an_empty_page_with_position_0_leaves_the_position_where_it_is() {
    let mut script = Script::streaming(streaming(), "100");
    for zero in ["0", "\"0\""] {
        script.expect_fetch("100").reply(page(zero, &[]));
        script.assert_position("100");
    }
    script.expect_fetch("100").assert_waited(1.6, 2.0);
    script.reply(page("200", &["a"])).expect_batch(&["a"]);
    script.expect_fetch("200");
}

#[test]
fn the_status_says_until_when_it_waits() {
    let mut script = idle();
    looks_in_vain(&mut script);
    let Status::Waiting { until, .. } = script.status() else {
        panic!("{}", script.status());
    };
    script.pass(Duration::from_secs(1));
    let Status::Waiting { until: later, .. } = script.status() else {
        panic!("{}", script.status());
    };
    assert_eq!(until, later);
}

#[test]
fn pages_that_only_move_the_position_are_followed_and_come_to_rest_where_they_never_end() {
    let mut script = Script::streaming(streaming().calls_per_minute(1_000), "0");
    let mut waits = Vec::new();
    for n in 0..200 {
        script.expect_fetch(&n.to_string());
        waits.push(script.waited().as_secs_f64());
        script.reply(page(&(n + 1).to_string(), &[]));
    }
    assert!(waits[1..=100].iter().all(|wait| *wait < 0.07), "{waits:?}");
    assert!(waits[150..].iter().all(|wait| *wait >= 48.0), "{waits:?}");
    // Pages after an event are followed again.
    script.expect_fetch("200").reply(page("201", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("201").reply(page("202", &[]));
    script.expect_fetch("202").assert_waited(0.0, 0.07);
}

#[test]
fn a_long_stretch_without_matches_is_followed_to_the_present() {
    let mut script = Script::streaming(streaming().calls_per_minute(1_000), "0");
    let now = box_longpoll::transport::Moment::read_clocks().wall;
    let hours_ago = |hours: u64| {
        let time = now - Duration::from_secs(3_600 * hours);
        let since_1970 = time.duration_since(std::time::UNIX_EPOCH).expect("later");
        ((1_u128 << 60) + since_1970.as_millis()).to_string()
    };
    for hours in (2..300).rev() {
        script.expect_any().assert_waited(0.0, 0.07);
        script.reply(page(&hours_ago(hours), &[]));
    }
    script.expect_any().reply(page(&hours_ago(0), &[]));
    script.expect_any().assert_waited(0.8, 60.0);
}

#[test]
fn a_machine_that_has_slept_looks_at_once() {
    let mut script = idle();
    for _ in 0..10 {
        looks_in_vain(&mut script);
    }
    assert!(matches!(script.status(), Status::Waiting { .. }));
    script
        .sleep(Duration::from_secs(3_600))
        .tick_after(CLOCK_CHECK_INTERVAL);
    script.expect_fetch("100").assert_waited(0.0, 0.0);
}

#[test]
fn a_look_that_fails_is_retried_from_the_same_position() {
    let mut script = idle();
    script.expect_fetch("100").reply(status(500));
    assert!(matches!(script.status(), Status::Retrying { .. }));
    script.expect_fetch("100").assert_waited(0.05, 0.25);
    script.reply(status_with(429, &[("retry-after", "30")], ""));
    script.expect_fetch("100").assert_waited(30.0, 30.0);
    script.reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]).assert_position("200");
}

#[test]
fn the_event_types_go_along_escaped() {
    let types = [
        EventType::Login,
        EventType::from("SIGN&SEAL"),
        "UPLOAD".into(),
    ];
    let mut script = Script::streaming(streaming().event_types(types), "100");
    script.expect_fetch("100");
    assert_eq!(
        script.asked().request().uri(),
        "https://api.box.com/2.0/events?stream_type=admin_logs_streaming&stream_position=100&limit=500&event_type=LOGIN%2CSIGN%26SEAL%2CUPLOAD"
    );
}

/// The times of all requests within twenty minutes, in seconds. Every so often one is sent late, as where others go first.
fn requests(calls: u32, late: bool, mut answer: impl FnMut(u32) -> Response) -> Vec<f64> {
    let streaming = streaming()
        .calls_per_minute(calls)
        .shortest_interval(Duration::from_millis(1));
    let mut script = Script::streaming(streaming, "0");
    let (mut at, mut times) = (0.0, Vec::new());
    for n in 0.. {
        script.expect_any_after_batches();
        at += script.waited().as_secs_f64();
        if at > 1_200.0 {
            break;
        }
        if late && n % 10 == 9 {
            script.pass(Duration::from_secs(60));
            at += 60.0;
        }
        times.push(at);
        script.reply(answer(n));
    }
    times
}

#[track_caller]
fn assert_within(calls: usize, times: &[f64]) {
    for (n, start) in times.iter().enumerate() {
        let minute = times[n..].iter().take_while(|time| **time <= start + 60.0);
        let within = minute.count();
        assert!(within <= calls, "{within} of {calls} calls in a minute");
    }
}

/// As many as there ought to be where each is wanted.
#[track_caller]
fn assert_busy(calls: u32, times: &[f64]) {
    let most = f64::from(calls) * 20.0;
    let least = most * 0.9 - 60.0;
    let made = f64::from(u32::try_from(times.len()).unwrap());
    assert!(made >= least.max(19.0), "{made} of {most} calls");
}

#[test]
fn whatever_comes_of_them_the_calls_of_any_minute_stay_within_what_is_set() {
    let events = |n: u32| page(&(n + 1).to_string(), &[&n.to_string()]);
    for calls in [3, 4, 19, 60, 1_000] {
        let within = usize::try_from(calls).unwrap();
        for late in [false, true] {
            let catching_up = requests(calls, late, events);
            assert_within(within, &catching_up);
            if !late {
                assert_busy(calls, &catching_up);
            }
            let moving = requests(calls, late, |n| page(&(n + 1).to_string(), &[]));
            assert_within(within, &moving);
            let mixed = requests(calls, late, |n| match n % 5 {
                0 => page(&n.to_string(), &[]),
                1 => failed(TransportErrorKind::Connect),
                2 => body("<html>"),
                _ => events(n),
            });
            assert_within(within, &mixed);
            for code in [429, 500] {
                assert_within(within, &requests(calls, late, |_| status(code)));
            }
        }
    }
}

#[test]
fn a_call_that_box_refuses_for_its_token_is_counted() {
    let mut script = Script::streaming(streaming().calls_per_minute(3), "100");
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    script.expect_fetch("100").assert_waited(59.0, 61.0);
}

#[test]
fn a_page_that_had_to_be_made_smaller_is_a_full_one_again_at_the_next_look() {
    let mut script = idle();
    let too_large = || failed(TransportErrorKind::BodyTooLarge);
    script.expect_fetch("100").reply(too_large());
    script.expect_fetch("100").assert_limit(250);
    script.reply(page("100", &[]));
    script.expect_fetch("100").assert_limit(500);
}
