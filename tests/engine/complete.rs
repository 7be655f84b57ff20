//! The time up to which a stream is complete: the pages that prove it, and those that don't.

use std::time::{Duration, SystemTime};

use box_longpoll::enterprise::{AdminLogs, AdminLogsStreaming};
use box_longpoll::protocol::Response;
use box_longpoll::{LongPollClient, LongPollClientBuilder, StartAt};
use jiff::Timestamp;

use crate::script::{Script, body, page, status_with};

/// The default of `event_delay`.
const DELAY: Duration = Duration::from_secs(300);

const SECOND: Duration = Duration::from_secs(1);

const HOUR: Duration = Duration::from_secs(3_600);

/// Returns a page with an event of each of these times, whose id is its place and `position`.
fn dated(position: &str, times: &[SystemTime]) -> Response {
    let event = |(n, time): (usize, &SystemTime)| {
        let created = Timestamp::try_from(*time).unwrap();
        format!(r#"{{"event_id":"{n} of {position}","created_at":"{created}"}}"#)
    };
    let events: Vec<String> = times.iter().enumerate().map(event).collect();
    let events = events.join(",");
    body(&format!(
        r#"{{"next_stream_position":{position},"entries":[{events}]}}"#
    ))
}

/// Returns a position of an enterprise that contains this time, and the time to the millisecond.
fn position_of(time: SystemTime) -> (String, SystemTime) {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let millis = u64::try_from(since_1970.as_millis()).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    ((millis + (1 << 60)).to_string(), time)
}

/// Returns settings with pages of at most two events.
fn small_pages() -> LongPollClientBuilder {
    LongPollClient::builder().page_limit(2)
}

#[test]
fn end_of_a_drain_proves_the_time_of_its_request() {
    let mut script = Script::start("100");
    script.expect_fetch("100").assert_complete_until(None);
    let requested_at = script.wall();
    script.pass(3 * SECOND).reply(page("100", &[]));
    script.assert_complete_until(requested_at - DELAY);
}

#[test]
fn date_of_the_response_counts_instead_of_the_own_clock() {
    let mut script = Script::start("100");
    script.expect_fetch("100").pass(3 * SECOND);
    let date = "Wed, 21 Oct 2015 07:28:00 GMT";
    let empty = r#"{"next_stream_position":"100","entries":[]}"#;
    script.reply(status_with(200, &[("date", date)], empty));
    let requested_at: Timestamp = "2015-10-21T07:27:57Z".parse().unwrap();
    script.assert_complete_until(SystemTime::try_from(requested_at).unwrap() - DELAY);
}

#[test]
fn start_at_now_is_complete_up_to_its_request() {
    let mut script = Script::start("now");
    script.expect_fetch("now");
    let requested_at = script.wall();
    script.pass(SECOND).reply(page("100", &[]));
    script.assert_complete_until(requested_at - DELAY);
}

/// Box's documentation has this position of a user's stream: as one of an enterprise, it would be a
/// time in 2016.
#[test]
fn position_of_a_user_is_not_read_as_a_time() {
    let mut script = Script::start("now");
    script.expect_fetch("now");
    let requested_at = script.wall();
    script.reply(page("1152922976252290886", &[]));
    script.assert_complete_until(requested_at - DELAY);
}

#[test]
fn delay_is_that_of_the_settings() {
    let builder = LongPollClient::builder().event_delay(Duration::ZERO);
    let mut script = Script::with(builder, "100");
    script.expect_fetch("100");
    let requested_at = script.wall();
    script.reply(page("100", &[]));
    script.assert_complete_until(requested_at);
}

#[test]
fn silent_poll_proves_nothing() {
    let mut script = Script::listening(1);
    let requested_at = script.wall() - 9 * SECOND;
    script.pass(HOUR / 10);
    script.assert_complete_until(requested_at - DELAY);
}

#[test]
fn page_with_events_proves_its_newest_once_it_is_handled() {
    let mut script = Script::start("100");
    script.expect_fetch("100");
    let newest = script.wall() - HOUR;
    // The page is not full, and more events follow.
    let times = [newest - HOUR, newest, newest - SECOND];
    script.reply(dated("200", &times));
    script.expect_unhandled_batch(&["0 of 200", "1 of 200", "2 of 200"]);
    script.assert_complete_until(None);
    script.handled().assert_complete_until(newest - DELAY);

    // A late event takes nothing back.
    script.expect_fetch("200");
    script.reply(dated("300", &[newest - 2 * HOUR]));
    script.expect_batch(&["0 of 300"]);
    script.assert_complete_until(newest - DELAY);
}

#[test]
fn event_from_the_future_counts_as_the_request() {
    let mut script = Script::start("100");
    script.expect_fetch("100");
    let requested_at = script.wall();
    script.pass(SECOND);
    script.reply(dated("200", &[requested_at + HOUR]));
    script.expect_batch(&["0 of 200"]);
    script.assert_complete_until(requested_at - DELAY);
}

#[test]
fn page_read_ahead_counts_once_the_batch_before_is_handled() {
    let mut script = Script::start("100");
    script.expect_fetch("100");
    let newest = script.wall() - HOUR;
    script.reply(dated("200", &[newest]));
    script.expect_unhandled_batch(&["0 of 200"]);
    script.expect_fetch("200");
    let requested_at = script.wall();
    script.pass(SECOND).reply(page("200", &[]));
    script.assert_complete_until(None);
    script.handled();
    script.assert_complete_until(requested_at - DELAY);
}

#[test]
fn full_page_of_repeats_proves_nothing() {
    let mut script = Script::with(small_pages(), "100");
    script.expect_fetch("100").reply(page("200", &["a", "b"]));
    script.expect_batch(&["a", "b"]);
    script.expect_fetch("200").reply(page("200", &["a", "b"]));
    script.expect_list().assert_complete_until(None);
}

#[test]
fn short_page_of_repeats_proves_the_end() {
    let mut script = Script::with(small_pages(), "100");
    script.expect_fetch("100").reply(page("200", &["a", "b"]));
    script.expect_batch(&["a", "b"]).assert_complete_until(None);
    script.expect_fetch("200");
    let requested_at = script.wall();
    script.pass(SECOND).reply(page("200", &["b"]));
    script.assert_complete_until(requested_at - DELAY);
}

#[test]
fn circle_of_pages_proves_nothing() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("300", &["a"]));
    script.expect_fetch("300").reply(page("200", &["a"]));
    script.expect_fetch("200").reply(page("300", &["a"]));
    script.expect_list().assert_complete_until(None);
}

#[test]
fn position_that_moves_by_itself_proves_the_time_in_it() {
    let mut script = Script::streaming(AdminLogsStreaming::default(), "100");
    let (mut reached, mut from) = (SystemTime::UNIX_EPOCH, "100".to_owned());
    for n in 0..101 {
        script.assert_complete_until(None);
        script.expect_fetch(&from);
        (from, reached) = position_of(script.wall() - HOUR / 2 + n * SECOND / 100);
        script.reply(page(&from, &[]));
    }
    script.assert_complete_until(reached - DELAY);
    // Once the position stands still, nothing follows it.
    script.expect_fetch(&from);
    let requested_at = script.wall();
    script.reply(page(&from, &[]));
    script.assert_complete_until(requested_at - DELAY);
}

#[test]
fn time_does_not_go_back_with_the_clock() {
    let mut script = Script::streaming(AdminLogsStreaming::default(), "100");
    script.expect_fetch("100");
    let requested_at = script.wall();
    script.reply(page("100", &[]));
    script.set_clock_back(HOUR);
    script.expect_fetch("100").reply(page("100", &[]));
    script.assert_complete_until(requested_at - DELAY);
}

#[test]
fn failed_fetch_proves_nothing() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(crate::script::status(503));
    script.expect_fetch("100").assert_complete_until(None);
}

/// An event that appears late may lie before the position of a query, so no page proves more than
/// the start.
#[test]
fn query_is_complete_up_to_its_start_when_it_ends() {
    let mut script = Script::query(AdminLogs::new());
    let began = script.wall();
    script.expect_fetch("0").pass(HOUR);
    script.reply(dated("200", &[began - HOUR]));
    script.expect_batch(&["0 of 200"]);
    script.assert_complete_until(None);
    script
        .expect_fetch("200")
        .pass(HOUR)
        .reply(page("200", &[]));
    script.expect_finish();
    script.assert_complete_until(began - DELAY);
}

#[test]
fn query_is_complete_at_most_up_to_the_end_of_its_range() {
    let before: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let mut script = Script::query(AdminLogs::new().created_before(before));
    script.expect_fetch("0").reply(page("0", &[]));
    script.expect_finish();
    script.assert_complete_until(SystemTime::try_from(before).unwrap());
}

#[test]
fn query_that_ends_with_a_full_page_is_not_complete() {
    let config = small_pages().config().unwrap();
    let config = config.admin_logs(AdminLogs::new()).unwrap();
    let mut script = Script::of(config, StartAt::Oldest, 7);
    script.expect_fetch("0").reply(page("200", &["a", "b"]));
    script.expect_batch(&["a", "b"]);
    script.expect_fetch("200").reply(page("200", &["a", "b"]));
    script.expect_finish();
    script.assert_complete_until(None);
}
