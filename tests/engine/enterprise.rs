//! The engine on a stream of live enterprise events: its fetches, intervals and rate limit.

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

/// Returns an engine that has just fetched a page without events, at position 100.
fn idle() -> Script {
    let mut script = Script::streaming(streaming(), "100");
    script.expect_fetch("100").reply(page("100", &[]));
    script
}

/// Lets the engine fetch a page without events. Returns the time it waited before, in seconds.
fn fetches_nothing(script: &mut Script) -> f64 {
    script.expect_fetch("100");
    let waited = script.waited().as_secs_f64();
    script.reply(page("100", &[]));
    waited
}

#[test]
fn interval_is_the_shortest_after_a_fetch_with_events() {
    let mut script = idle();
    for _ in 0..10 {
        fetches_nothing(&mut script);
    }
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").assert_waited(0.0, 0.0);
    script.reply(page("200", &[]));
    script.expect_fetch("200").assert_waited(1.0, 1.0);
}

#[test]
fn each_empty_fetch_doubles_the_interval_up_to_the_longest() {
    let mut script = idle();
    for longest in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0_f64] {
        let waited = fetches_nothing(&mut script);
        let least = (longest * 0.8).max(1.0);
        assert!(
            (least..=longest + 0.001).contains(&waited),
            "{waited} of {longest}"
        );
    }
}

#[test]
fn intervals_follow_the_settings() {
    let (shortest, longest) = (Duration::from_millis(300), Duration::from_millis(500));
    let streaming = streaming()
        .shortest_interval(shortest)
        .longest_interval(longest)
        .calls_per_minute(1_000);
    let mut script = Script::streaming(streaming, "100");
    script.expect_fetch("100").reply(page("100", &[]));
    for _ in 0..20 {
        let waited = fetches_nothing(&mut script);
        assert!((0.3..=0.501).contains(&waited), "{waited}");
    }
}

#[test]
fn streams_that_start_together_do_not_fetch_together() {
    let total_wait = |seed| {
        let mut script = Script::streaming_seeded(seed, streaming(), "100");
        (0..20).map(|_| fetches_nothing(&mut script)).sum::<f64>()
    };
    let mut times: Vec<f64> = (0..20).map(total_wait).collect();
    times.sort_by(f64::total_cmp);
    let apart = times.last().unwrap() - times[0];
    assert!(apart > 5.0, "within {apart} s");
}

#[test]
fn enterprise_stream_only_fetches() {
    let mut script = Script::streaming(streaming(), "now");
    script.expect_fetch("now").reply(page("100", &[]));
    let mut position = 100;
    for n in 0..1_000 {
        let request = script.expect_any().sent().request();
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
fn now_is_resolved_and_fetched_after_the_shortest_interval() {
    let mut script = Script::streaming(streaming(), "now");
    script.expect_fetch("now").reply(page("100", &[]));
    script.expect_fetch("100").assert_waited(1.0, 1.0);
}

#[test]
fn empty_page_with_position_0_keeps_the_position() {
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
fn status_has_the_end_of_the_wait() {
    let mut script = idle();
    fetches_nothing(&mut script);
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
fn empty_pages_are_followed_and_come_to_rest() {
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
fn long_time_without_matches_is_followed_to_the_present() {
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
fn stream_fetches_at_once_when_the_machine_was_suspended() {
    let mut script = idle();
    for _ in 0..10 {
        fetches_nothing(&mut script);
    }
    assert!(matches!(script.status(), Status::Waiting { .. }));
    script
        .suspend(Duration::from_secs(3_600))
        .check_clocks_after(CLOCK_CHECK_INTERVAL);
    script.expect_fetch("100").assert_waited(0.0, 0.0);
}

#[test]
fn failed_fetch_is_retried_from_the_same_position() {
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
fn event_types_are_sent_escaped() {
    let types = [
        EventType::Login,
        EventType::from("SIGN&SEAL"),
        "UPLOAD".into(),
    ];
    let mut script = Script::streaming(streaming().event_types(types), "100");
    script.expect_fetch("100");
    assert_eq!(
        script.sent().request().uri(),
        "https://api.box.com/2.0/events?stream_type=admin_logs_streaming&stream_position=100&limit=500&event_type=LOGIN%2CSIGN%26SEAL%2CUPLOAD"
    );
}

/// Returns the times of all requests within 20 minutes, in seconds. If `late`, every tenth is sent
/// 60 s late, as if the client's limiter held it back.
fn requests(calls: u32, late: bool, mut respond: impl FnMut(u32) -> Response) -> Vec<f64> {
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
        script.reply(respond(n));
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

/// Asserts that the calls use the rate limit, if every call is wanted.
#[track_caller]
fn assert_busy(calls: u32, times: &[f64]) {
    let most = f64::from(calls) * 20.0;
    let least = most * 0.9 - 60.0;
    let made = f64::from(u32::try_from(times.len()).unwrap());
    assert!(made >= least.max(19.0), "{made} of {most} calls");
}

#[test]
fn calls_of_any_minute_stay_within_the_limit() {
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
fn call_counts_when_box_rejects_its_token() {
    let mut script = Script::streaming(streaming().calls_per_minute(3), "100");
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    script.expect_fetch("100").assert_waited(59.0, 61.0);
}

#[test]
fn reduced_limit_is_full_again_at_the_next_interval() {
    let mut script = idle();
    let too_large = || failed(TransportErrorKind::BodyTooLarge);
    script.expect_fetch("100").reply(too_large());
    script.expect_fetch("100").assert_limit(250);
    script.reply(page("100", &[]));
    script.expect_fetch("100").assert_limit(500);
}
