//! The log of a stream's life: one line for each transition, and whose stream it is.

use std::collections::BTreeSet;
use std::time::Duration;

use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::{StartAt, StreamMap, Update};
use box_longpoll_testkit::{Endpoint, Fault};
use tracing::Level;

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::log::{field, logged, number};
use crate::store::{Behaviour, Memory};
use crate::world::{build, idle_until, until};

#[test]
fn life_reads_in_one_line_for_each_transition() {
    logged(Level::INFO, async |log| {
        let server = fake_box(|_| ());
        server.queue_fault(Endpoint::Events, Fault::ServerError, 2);
        server.queue_fault(Endpoint::Events, Fault::RateLimited { seconds: 1 }, 1);
        let mut batches = build(builder(&server).stream_name("payroll")).batches(StartAt::Now);
        until(&mut batches, &server, |box_| {
            box_.counters().open_polls == 1
        })
        .await;
        let position = batches.resume_at().to_string();
        batches.handle().stop();
        assert!(batches.next().await.is_none());

        let lines = log.lines();
        let span = r#"stream{stream="payroll" stream_type="all"}: box_longpoll::stream: "#;
        let texts: Vec<_> = lines
            .iter()
            .map(|line| {
                let (level, text) = line.split_once(' ').unwrap();
                let text = text.strip_prefix(span).unwrap_or_else(|| panic!("{line}"));
                (level, text.split(' ').next().unwrap())
            })
            .collect();
        let expected = [
            ("INFO", "started"),
            ("WARN", "retrying"),
            ("WARN", "retrying"),
            ("WARN", "retrying"),
            ("INFO", "recovered"),
            ("INFO", "listening"),
            ("INFO", "stopped"),
        ];
        assert_eq!(texts, expected, "{lines:#?}");
        assert_eq!(field(&lines[0], "resume_at"), "now");
        for (line, kind, attempt) in [
            (&lines[1], "Status", 1),
            (&lines[2], "Status", 2),
            (&lines[3], "RateLimited", 3),
        ] {
            assert_eq!(
                (field(line, "kind"), number(line, "attempt")),
                (kind, attempt)
            );
            assert!(line.contains("error=Box responded"), "{line}");
        }
        assert!(
            (900..2_000).contains(&number(&lines[3], "wait_ms")),
            "{lines:#?}"
        );
        assert!(number(&lines[4], "after_ms") >= 900, "{lines:#?}");
        assert_eq!(number(&lines[4], "attempts"), 3);
        assert_eq!(field(&lines[6], "resume_at"), position);
    });
}

#[test]
fn stop_names_the_error() {
    logged(Level::INFO, async |log| {
        let server = fake_box(|_| ());
        server.queue_fault(Endpoint::Events, Fault::Forbidden, 1);
        let mut batches = build(builder(&server)).batches(StartAt::Oldest);
        batches.next().await.unwrap().unwrap_err();
        drop(batches);
        let lines = log.lines();
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert_eq!(field(&lines[1], "kind"), "Forbidden");
        assert!(lines[1].contains("stopped") && lines[1].contains("error=Box responded 403"));
    });
}

/// Each refused poll is in flight for a moment, and the stream seems to listen meanwhile.
#[test]
fn refused_polls_do_not_count_as_recoveries() {
    logged(Level::INFO, async |log| {
        let server = fake_box(|_| ());
        server.queue_fault(Endpoint::Realtime, Fault::ServerError, 4);
        let mut batches = build(builder(&server)).batches(StartAt::Now);
        until(&mut batches, &server, |box_| {
            box_.queued_faults() == 0 && box_.counters().open_polls == 1
        })
        .await;
        assert_eq!(batches.statistics().recoveries, 0);
        server.append(TOKEN, 1);
        batches.next().await.unwrap().unwrap();
        idle_until(&mut batches, |batches| batches.statistics().recoveries == 1).await;
        let lines = log.at(Level::WARN);
        let attempts: Vec<_> = lines.iter().map(|line| number(line, "attempt")).collect();
        assert_eq!(attempts, [1, 2, 3, 4]);
        let recovered = log.at(Level::INFO);
        let recovered: Vec<_> = recovered
            .iter()
            .filter(|line| line.contains("recovered"))
            .collect();
        assert_eq!(recovered.len(), 1);
        assert_eq!(number(recovered[0], "attempts"), 4);
    });
}

#[test]
fn list_without_a_usable_server_is_no_recovery() {
    logged(Level::INFO, async |log| {
        let server = fake_box(|_| ());
        server.queue_fault(Endpoint::Options, Fault::EmptyList, 3);
        let mut batches = build(builder(&server)).batches(StartAt::Now);
        until(&mut batches, &server, |box_| {
            box_.counters().open_polls == 1
        })
        .await;
        idle_until(&mut batches, |batches| batches.statistics().recoveries == 1).await;
        let (warnings, lines) = (log.at(Level::WARN), log.at(Level::INFO));
        assert_eq!(warnings.len(), 3, "{warnings:#?}");
        let texts: Vec<_> = lines
            .iter()
            .map(|line| line.rsplit(": ").next().unwrap())
            .collect();
        assert!(texts[0].starts_with("started"), "{texts:?}");
        assert!(texts[1].starts_with("recovered"), "{texts:?}");
        assert_eq!(texts[2..], ["listening"]);
    });
}

#[test]
fn idle_stream_that_polls_again_logs_nothing() {
    logged(Level::INFO, async |log| {
        let server = fake_box(|_| ());
        let client = build(builder(&server).max_hold(Duration::from_secs(1)));
        let mut batches = client.batches(StartAt::Now);
        until(&mut batches, &server, |box_| {
            box_.counters().realtime.requests == 4
        })
        .await;
        let lines = log.lines();
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[0].contains("started") && lines[1].contains("listening"));
    });
}

#[test]
fn stream_of_an_enterprise_logs_when_it_has_caught_up() {
    logged(Level::INFO, async |log| {
        let server = fake_box(|_| ());
        let interval = AdminLogsStreaming::default().longest_interval(Duration::from_secs(1));
        let client = build(builder(&server)).enterprise(interval).unwrap();
        let mut batches = client.batches(StartAt::Now);
        until(&mut batches, &server, |box_| {
            box_.counters().events.requests == 4
        })
        .await;
        let lines = log.lines();
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[1].ends_with("listening"), "{lines:#?}");
        assert!(lines[1].contains(r#"stream_type="admin_logs_streaming""#));
    });
}

#[test]
fn each_of_many_warnings_names_its_user() {
    logged(Level::WARN, async |log| {
        let server = fake_box(|_| ());
        server.queue_fault(Endpoint::Events, Fault::ServerError, 20);
        let client = build(builder(&server));
        let users: BTreeSet<String> = (1..=20).map(|user| format!("user-{user}")).collect();
        let mut streams = StreamMap::new();
        for user in &users {
            let client = client.as_user(user).unwrap();
            server.append(user, 1);
            streams.insert(user.clone(), client.batches(StartAt::Oldest));
        }
        for _ in &users {
            streams.next().await.unwrap().1.unwrap();
        }
        let lines = log.lines();
        let named = lines.iter().map(|line| field(line, "stream{stream"));
        let named: BTreeSet<_> = named
            .map(|name| name.trim_matches('"').to_owned())
            .collect();
        assert_eq!(named, users);
    });
}

#[test]
fn stream_is_named_by_the_builder_the_user_the_key_or_a_number() {
    logged(Level::INFO, async |log| {
        let server = fake_box(|_| ());
        let client = build(builder(&server));
        let user = client.as_user("4711").unwrap();
        let named = user.with_stream_name("payroll").unwrap();
        for (client, key, expected) in [
            (&named, "a key", "payroll"),
            (&user, "a key", "4711"),
            (&client, "a key", "a key"),
        ] {
            let before = log.lines().len();
            let mut subscription = client.subscribe(Memory::default(), key, StartAt::Now);
            let started = subscription.next().await;
            assert!(matches!(started, Some(Ok(Update::Started(_)))));
            let name = format!("stream={expected:?} ");
            assert!(
                log.lines()[before].contains(&name),
                "{name}: {:?}",
                log.lines()
            );
        }
        let mut numbers = BTreeSet::new();
        for _ in 0..2 {
            let before = log.lines().len();
            let mut batches = client.batches(StartAt::Now);
            until(&mut batches, &server, |_| log.lines().len() > before).await;
            let lines = log.lines();
            numbers.insert(field(&lines[before], "stream{stream").to_owned());
        }
        assert_eq!(numbers.len(), 2);
    });
}

#[test]
fn failed_save_is_logged_within_the_span_on_any_task() {
    logged(Level::WARN, async |log| {
        let server = fake_box(|_| ());
        server.append(TOKEN, 1);
        let store = Memory::default();
        let mut subscription =
            build(builder(&server)).subscribe(store.clone(), "ada", StartAt::Oldest);
        let started = subscription.next().await;
        assert!(matches!(started, Some(Ok(Update::Started(_)))));
        let Some(Ok(Update::Batch(batch))) = subscription.next().await else {
            panic!("no batch");
        };
        store.behave(Behaviour::Fails);
        batch.ack().await.unwrap_err();
        let lines = log.lines();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(
            lines[0].contains(r#"stream="ada""#) && lines[0].contains("box_longpoll::checkpoint")
        );
        assert_eq!(field(&lines[0], "kind"), "Checkpoint");
    });
}

#[test]
fn requests_and_batches_have_spans_when_debugging() {
    logged(Level::DEBUG, async |log| {
        let server = fake_box(|_| ());
        server.append(TOKEN, 3);
        server.queue_fault(Endpoint::Events, Fault::ServerError, 1);
        let mut batches = build(builder(&server)).batches(StartAt::Oldest);
        batches.next().await.unwrap().unwrap();
        until(&mut batches, &server, |box_| {
            box_.counters().open_polls == 1
        })
        .await;
        let closed: Vec<_> = log
            .at(Level::DEBUG)
            .into_iter()
            .filter(|line| line.ends_with("close"))
            .collect();
        let fetches: Vec<_> = closed
            .iter()
            .filter(|line| line.contains(r#"call="fetch""#))
            .collect();
        assert!(fetches.len() >= 2, "{closed:#?}");
        for (line, attempt, status) in [(fetches[0], 1, 500), (fetches[1], 2, 200)] {
            let request = line.split_once("request{").unwrap().1;
            assert_eq!(number(request, "attempt"), attempt);
            assert_eq!(number(request, "status"), status);
            assert!(number(request, "bytes") > 0 && number(request, "wait_ms") < 1_000);
        }
        let batch = closed.iter().find(|line| line.contains("batch{")).unwrap();
        assert_eq!(number(batch, "events"), 3);
        assert_eq!(field(batch, "is_live"), "true");
    });
}
