//! Accounts that never come to rest: positions that move by themselves or in circles, and events at
//! every moment.

use std::time::Duration;

use box_longpoll::config::Pace;
use box_longpoll::enterprise::{AdminLogs, AdminLogsStreaming};
use box_longpoll::{ErrorKind, LongPollClient, Status};
use http::Method;
use jiff::Timestamp;

use crate::script::{Script, page, server_list, signal, status_with};

/// Returns a position that contains a time.
fn position_of(time: Timestamp) -> String {
    ((1 << 60) + time.as_millisecond()).to_string()
}

#[test]
fn stream_listens_when_the_position_moves_by_itself() {
    let mut script = Script::start("1000");
    for n in 1_000..1_100 {
        script.expect_fetch(&n.to_string());
        script.reply(page(&(n + 1).to_string(), &[]));
    }
    script.expect_fetch("1100").reply(page("1101", &[]));
    script.expect_list().reply(server_list(1));
    // From now on each drain fetches one page.
    for n in 1_101..1_110 {
        script
            .expect_listen(&n.to_string())
            .reply(signal("reconnect"));
        script.expect_fetch(&n.to_string());
        script.reply(page(&(n + 1).to_string(), &[]));
        script.expect_list().reply(server_list(1));
    }
    // An event does not change that.
    script.expect_listen("1110").reply(signal("new_change"));
    script.expect_fetch("1110").reply(page("1111", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("1111").reply(page("1112", &[]));
    script.expect_listen("1111").reply(signal("new_change"));
    // Once the position has stood still, pages that move it are followed again.
    script.expect_fetch("1112").reply(page("1112", &[]));
    script.expect_fetch("1112").reply(page("1113", &[]));
    script.expect_fetch("1113").assert_waited(0.0, 0.0);
    script.reply(page("1114", &[]));
    script.expect_fetch("1114").assert_waited(0.0, 0.0);
}

#[test]
fn empty_pages_are_followed_when_events_are_between() {
    let mut script = Script::start("1000");
    for n in 1_000..1_300 {
        script.expect_fetch(&n.to_string());
        let next = (n + 1).to_string();
        if n % 90 == 0 {
            script.reply(page(&next, &[&next])).expect_batch(&[&next]);
        } else {
            script.reply(page(&next, &[]));
        }
    }
    script.expect_fetch("1300");
}

#[test]
fn query_slows_down_while_only_its_position_moves() {
    let mut script = Script::query(AdminLogs::new());
    script.expect_fetch("0").reply(page("1000", &["a"]));
    script.expect_batch(&["a"]);
    for n in 1_000..1_100 {
        script.expect_fetch(&n.to_string());
        script.reply(page(&(n + 1).to_string(), &[]));
    }
    script.expect_fetch("1100").reply(page("1101", &[]));
    for (n, seconds) in (1_101..).zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]) {
        assert!(matches!(script.status(), Status::Waiting { .. }));
        script
            .expect_fetch(&n.to_string())
            .assert_waited(seconds, seconds);
        script.reply(page(&(n + 1).to_string(), &[]));
    }
    // After an event the first pages are followed at once again.
    script.expect_fetch("1109").reply(page("1110", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("1110").reply(page("1111", &[]));
    script.expect_fetch("1111").assert_waited(0.0, 0.2);
}

#[test]
fn query_whose_position_moves_for_an_hour_stops() {
    let mut script = Script::query(AdminLogs::new());
    script.expect_fetch("0").reply(page("1000", &["a"]));
    script.expect_batch(&["a"]);
    let (mut passed, mut pages) = (Duration::ZERO, 0);
    for n in 1_000..10_000 {
        if script.stops() {
            break;
        }
        script.expect_any();
        passed += script.waited();
        pages += 1;
        script.reply(page(&(n + 1).to_string(), &[]));
    }
    assert!((3_600..3_700).contains(&passed.as_secs()), "{passed:?}");
    assert!((150..200).contains(&pages), "{pages}");
    let error = script.stopped();
    assert_eq!(error.kind(), ErrorKind::QueryUnfinished);
    let position = (1_000 + pages).to_string();
    assert!(error.to_string().contains(&position), "{error}");
}

#[test]
fn query_ends_when_the_time_in_its_position_passes_its_end() {
    let before: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
    let mut script = Script::query(AdminLogs::new().created_before(before));
    let earlier = position_of(before - Duration::from_millis(1));
    script.expect_fetch("0").reply(page(&earlier, &["a"]));
    script.expect_batch(&["a"]);
    let last = position_of(before);
    script.expect_fetch(&earlier).reply(page(&last, &[]));
    script.expect_fetch(&last);
    let passed = position_of(before + Duration::from_millis(1));
    script.reply(page(&passed, &[])).expect_finish();
}

#[test]
fn a_query_to_the_end_of_today_ends_at_the_present() {
    let now = now();
    let tomorrow = now + Duration::from_secs(24 * 60 * 60);
    let mut script = Script::query(AdminLogs::new().created_before(tomorrow));
    let ahead = position_of(now + Duration::from_secs(60));
    script.expect_fetch("0");
    script.reply(page(&ahead, &[])).expect_finish();
}

#[test]
fn present_is_taken_from_boxs_clock() {
    let mut script = Script::query(AdminLogs::new());
    let now = now();
    let position = position_of(now + Duration::from_secs(600));
    let body = format!(r#"{{"entries":[],"next_stream_position":{position}}}"#);
    let in_an_hour = httpdate_in_an_hour();
    script.expect_fetch("0");
    script.reply(status_with(200, &[("date", &in_an_hour)], &body));
    script.expect_fetch(&position);
}

fn now() -> Timestamp {
    let now = box_longpoll::transport::Moment::read_clocks().wall;
    Timestamp::try_from(now).unwrap()
}

fn httpdate_in_an_hour() -> String {
    let later = box_longpoll::transport::Moment::read_clocks().wall + Duration::from_secs(3_600);
    httpdate::fmt_http_date(later)
}

#[test]
fn outage_does_not_count_as_time_without_events() {
    let mut script = Script::query(AdminLogs::new());
    script.expect_fetch("0").reply(page("1000", &[]));
    script.expect_fetch("1000").pass(Duration::from_secs(3_660));
    script.reply(page("1001", &[]));
    script.expect_fetch("1001");
}

#[test]
fn a_query_without_an_end_ends_at_the_present() {
    let mut script = Script::query(AdminLogs::new());
    let now = now();
    let lately = position_of(now - Duration::from_secs(60));
    script.expect_fetch("0").reply(page(&lately, &[]));
    script.expect_fetch(&lately);
    let ahead = position_of(now + Duration::from_secs(60));
    script.reply(page(&ahead, &[])).expect_finish();
}

#[test]
fn pages_without_ids_that_lead_in_a_circle_end_the_drain() {
    let mut script = Script::start("1");
    script.expect_fetch("1").reply(page("2", &["-"]));
    script.expect_batch(&["-"]);
    script.expect_fetch("2").reply(page("1", &["-"]));
    script.expect_batch(&["-"]);
    script.expect_fetch("1").reply(page("2", &["-"]));
    script.expect_batch(&["-"]);
    script.expect_list();
}

#[test]
fn repeats_that_lead_in_a_circle_end_the_drain() {
    let mut script = Script::start("1");
    script.expect_fetch("1").reply(page("2", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("2").reply(page("1", &["a"]));
    script.expect_fetch("1").reply(page("2", &["a"]));
    script.expect_fetch("2").reply(page("1", &["a"]));
    script.expect_list();
}

/// Returns `true` if a circle of `length` pages without ids ends the drain.
fn is_noticed(length: u32) -> bool {
    let pace = Pace::default()
        .per_minute(6_000)
        .small_pages_per_minute(6_000);
    // A page with one event is full then, so the servers are listed only after the drain.
    let builder = LongPollClient::builder().pace(pace).page_limit(1);
    let mut script = Script::with(builder, "1");
    for n in 0..3 * length {
        if script.expect_any().sent().request().method() == Method::OPTIONS {
            return true;
        }
        let next = (n + 1) % length + 1;
        script.reply(page(&next.to_string(), &["-"]));
        script.expect_batch(&["-"]);
    }
    false
}

#[test]
fn circle_of_up_to_64_pages_is_noticed() {
    assert!(is_noticed(1));
    assert!(is_noticed(64));
    assert!(!is_noticed(65));
}

#[test]
fn a_query_that_goes_in_a_circle_stops_with_its_position() {
    let mut script = Script::query(AdminLogs::new());
    script.expect_fetch("0").reply(page("1", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("1").reply(page("2", &["a"]));
    script.expect_fetch("2").reply(page("1", &["a"]));
    script.expect_fetch("1").reply(page("2", &["a"]));
    let error = script.stopped();
    assert_eq!(error.kind(), ErrorKind::QueryUnfinished);
    assert!(error.to_string().contains("circles"), "{error}");
}

#[test]
fn an_enterprise_that_goes_in_a_circle_waits_for_its_interval() {
    let mut script = Script::streaming(AdminLogsStreaming::default(), "1");
    script.expect_fetch("1").reply(page("2", &[]));
    script.expect_fetch("2").reply(page("1", &[]));
    script.expect_fetch("1").reply(page("2", &[]));
    script.expect_fetch("2").assert_waited(1.0, 60.0);
}

/// Returns the number of pages with one event each that are fetched in three minutes, and the most
/// of them within any minute.
fn pages_of_a_busy_account(builder: box_longpoll::LongPollClientBuilder) -> (usize, usize) {
    let mut script = Script::with(builder, "100");
    let (mut at, mut times) = (Duration::ZERO, Vec::new());
    for n in 100.. {
        script.expect_fetch(&n.to_string());
        // The first page is in flight for a second, while the next one is earned.
        let latency = Duration::from_millis(if n == 100 { 1_000 } else { 20 });
        at += script.waited() + latency;
        script.pass(latency);
        if at > Duration::from_secs(180) {
            break;
        }
        times.push(at);
        script.reply(page(&(n + 1).to_string(), &[&n.to_string()]));
        script.expect_batch(&[&n.to_string()]);
    }
    let minute = |from: usize| {
        let until = times[from] + Duration::from_secs(60);
        times[from..].partition_point(|time| *time <= until)
    };
    let most = (0..times.len()).map(minute).max().unwrap_or_default();
    (times.len(), most)
}

#[test]
fn busy_account_is_fetched_at_the_pace_of_small_pages() {
    let (_, most) = pages_of_a_busy_account(LongPollClient::builder());
    assert!((220..=240).contains(&most), "{most}");
    let pace = Pace::default().small_pages_per_minute(30);
    let (_, most) = pages_of_a_busy_account(LongPollClient::builder().pace(pace));
    assert!((25..=30).contains(&most), "{most}");
    // A page that is half full counts as a backlog.
    let (pages, _) = pages_of_a_busy_account(LongPollClient::builder().page_limit(2));
    assert!(pages > 8_000, "{pages}");
}

#[test]
fn sixteen_small_pages_may_follow_each_other_at_once() {
    let mut script = Script::start("100");
    for n in 100..116 {
        script.expect_fetch(&n.to_string()).assert_waited(0.0, 0.0);
        script.reply(page(&(n + 1).to_string(), &[&n.to_string()]));
        script.expect_batch(&[&n.to_string()]);
    }
    script.expect_fetch("116").assert_waited(0.2, 0.3);
}

#[test]
fn half_full_pages_follow_each_other_at_once() {
    let builder = LongPollClient::builder().page_limit(10);
    let mut script = Script::with(builder, "100");
    for n in 100..200 {
        script.expect_fetch(&n.to_string()).assert_waited(0.0, 0.0);
        let ids: Vec<_> = ["a", "b", "c", "d", "e"]
            .map(|id| format!("{id}{n}"))
            .into();
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        script.reply(page(&(n + 1).to_string(), &ids));
        script.expect_batch(&ids);
    }
}
