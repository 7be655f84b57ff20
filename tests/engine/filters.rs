//! The client's filter: events that do not match are not delivered, and change nothing else.

use std::time::Duration;

use box_longpoll::config::Config;
use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::event::EventFilter;
use box_longpoll::protocol::Response;
use box_longpoll::{LongPollClient, LongPollClientBuilder, StartAt};
use fastrand::Rng;

use crate::script::{Script, body, page, server_list};

fn logins() -> LongPollClientBuilder {
    LongPollClient::builder().filter(EventFilter::new().event_types(["LOGIN"]))
}

fn of_enterprise(builder: LongPollClientBuilder) -> Config {
    let streaming = AdminLogsStreaming::default().calls_per_minute(1_000);
    builder.config().unwrap().enterprise(streaming).unwrap()
}

/// Returns a page of events with these ids and types. The id `-` stands for none.
fn typed<'a>(next: &str, events: impl IntoIterator<Item = (&'a str, &'a str)>) -> Response {
    let event = |(id, kind): (&str, &str)| match id {
        "-" => format!(r#"{{"event_type":"{kind}"}}"#),
        id => format!(r#"{{"event_id":"{id}","event_type":"{kind}"}}"#),
    };
    let events: Vec<String> = events.into_iter().map(event).collect();
    let events = events.join(",");
    body(&format!(
        r#"{{"chunk_size":0,"next_stream_position":{next},"entries":[{events}]}}"#
    ))
}

/// Returns a full page of events that do not match.
fn full_page(number: u32) -> Response {
    let ids: Vec<String> = (0..500).map(|n| format!("{number}-{n}")).collect();
    let next = (number + 1).to_string();
    typed(&next, ids.iter().map(|id| (id.as_str(), "UPLOAD")))
}

#[test]
fn backlog_without_a_match_is_drained_without_a_wait() {
    let mut script = Script::with(logins(), "10");
    for number in 10..50 {
        let from = number.to_string();
        script.expect_fetch(&from).assert_waited(0.0, 0.0);
        script.assert_position(&from);
        script.reply(full_page(number));
    }
    script.expect_fetch("50").assert_waited(0.0, 0.0);
    script.reply(page("50", &[])).assert_position("50");
    script.expect_list().assert_waited(0.0, 0.0);
    script.reply(server_list(1)).expect_poll("50");
}

#[test]
fn enterprise_backlog_without_a_match_is_drained_too() {
    let mut script = Script::of(of_enterprise(logins()), StartAt::Oldest, 7);
    for number in 0..40 {
        script.expect_any();
        assert!(script.waited() < Duration::from_millis(70));
        script.reply(full_page(number));
        script.assert_position(&(number + 1).to_string());
    }
    script.expect_fetch("40").reply(page("40", &[]));
    script.expect_fetch("40").assert_waited(1.0, 1.0);
}

#[test]
fn page_without_a_match_is_handled_with_the_batch_before() {
    let mut script = Script::with(logins(), "100");
    script.expect_fetch("100");
    script.reply(typed("200", [("a", "UPLOAD"), ("b", "LOGIN")]));
    script.expect_unhandled_batch(&["b"]);
    script.expect_fetch("200");
    script.reply(typed("300", [("c", "UPLOAD"), ("-", "UPLOAD")]));
    script.expect_fetch("300").assert_position("100");
    script.handled().assert_position("300");
    script.reply(typed("400", [("d", "LOGIN"), ("-", "LOGIN")]));
    script.expect_batch(&["d", "-"]).assert_position("400");
}

#[test]
fn id_of_an_event_that_does_not_match_is_remembered() {
    let mut script = Script::with(logins(), "100");
    script.expect_fetch("100");
    script.reply(typed("200", [("a", "UPLOAD"), ("b", "LOGIN")]));
    script.expect_batch(&["b"]).expect_fetch("200");
    script.reply(typed("300", [("a", "LOGIN"), ("c", "LOGIN")]));
    script.expect_batch(&["c"]);
}

/// Returns the next 300 requests, each with the time that the engine has waited before it. The
/// responses depend on `seed` alone.
fn requests(config: Config, seed: u64) -> Vec<(Duration, String)> {
    let mut script = Script::of(config, StartAt::Oldest, 7);
    let mut rng = Rng::with_seed(seed);
    let mut position = 100;
    let mut requests = Vec::new();
    for number in 0..300 {
        let request = script.expect_any_after_batches().sent().request();
        let uri = request.uri().to_string();
        requests.push((script.waited(), uri));
        position += rng.u32(..2);
        let id = |_| match rng.u32(..8) {
            0 => "-".to_owned(),
            1 => "repeated".to_owned(),
            _ => format!("{number}-{}", rng.u32(..)),
        };
        let count = [0, 0, 0, 1, 3, 500][Rng::with_seed(number).usize(..6)];
        let ids: Vec<String> = (0..count).map(id).collect();
        let events = ids.iter().map(|id| (id.as_str(), "UPLOAD"));
        script.reply(typed(&position.to_string(), events));
    }
    requests
}

#[test]
fn requests_are_the_same_with_and_without_a_filter() {
    let all = of_enterprise(LongPollClient::builder());
    let filtered = of_enterprise(logins());
    for seed in 0..20 {
        let (all, filtered) = (
            requests(all.clone(), seed),
            requests(filtered.clone(), seed),
        );
        let first_different = all.iter().zip(&filtered).find(|(one, other)| one != other);
        assert_eq!(first_different, None, "{seed}");
        assert_eq!(all.len(), filtered.len());
    }
}
