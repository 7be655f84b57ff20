//! Streams that begin at a time in the past: history first, then live events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use box_longpoll::checkpoint::{Checkpoint, ResumeFrom};
use box_longpoll::enterprise::{AdminLogs, AdminLogsStreaming};
use box_longpoll::{
    ErrorKind, Event, EventStream, HttpTransport, LongPollClient, PossibleGap, StartAt, Status,
    Subscription, Update,
};
use box_longpoll_testkit::{AdminLogsOrder, Edge, PastEvents, Settings};
use jiff::{SignedDuration, Timestamp};

use crate::world::{ADMIN, Store, World};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Makes the emulator behave as Box does: `admin_logs` has the events of a year, sorted by time,
/// and `admin_logs_streaming` has those of two weeks, in the order of their arrival.
pub(crate) fn as_at_box(settings: &mut Settings) {
    settings.admin_logs_order = AdminLogsOrder::Chronological;
    settings.admin_logs_retention_ms = Some(365 * DAY_MS);
    settings.streaming_retention_ms = Some(14 * DAY_MS);
}

/// Adds the troubles of a large enterprise: late events, events out of order, and repeats.
fn troubled(settings: &mut Settings) {
    as_at_box(settings);
    settings.late_rate = 0.05;
    settings.late_by_ms = 20 * DAY_MS;
    settings.reorder_rate = 0.1;
    settings.repeat_rate = 0.05;
    settings.short_page_rate = 0.1;
}

/// Returns a world with `count` events, spread evenly over the time from `days` days ago to now.
pub(crate) fn past(count: i64, days: i64) -> World {
    let world = World::with_events(0, as_at_box);
    append_past(&world, count, days);
    world
}

/// Returns a world with the past events of a large enterprise, and their ids.
pub(crate) fn troubled_past(
    count: u32,
    days: i64,
    change: impl FnOnce(&mut Settings),
) -> (World, Vec<String>) {
    let world = World::with_events(0, |settings| {
        troubled(settings);
        change(settings);
    });
    let past = PastEvents {
        from_unix: days_ago(&world, days).as_second(),
        ..PastEvents::year_until(now(&world).as_second(), count)
    };
    let at = world.now().monotonic;
    world.emulator(|emulator| emulator.append_past(ADMIN, &past, at));
    (world, past.ids().collect())
}

fn append_past(world: &World, count: i64, days: i64) {
    let now = now(world);
    let seconds = days * 24 * 60 * 60;
    world.append_json((1..=count).map(|n| {
        let ago = SignedDuration::from_secs(seconds - seconds * n / count);
        event(n, now - ago)
    }));
}

fn event(n: i64, created: Timestamp) -> String {
    event_of(&n.to_string(), created)
}

pub(crate) fn event_of(id: &str, created: Timestamp) -> String {
    format!(r#"{{"event_id":"{id}","event_type":"LOGIN","created_at":"{created}"}}"#)
}

fn client(world: &World) -> LongPollClient<World> {
    let settings = AdminLogsStreaming::default();
    world.client().enterprise(settings).unwrap()
}

pub(crate) fn now(world: &World) -> Timestamp {
    let now = HttpTransport::now(world).wall;
    Timestamp::try_from(now).unwrap()
}

pub(crate) fn days_ago(world: &World, days: i64) -> Timestamp {
    now(world) - SignedDuration::from_hours(24 * days)
}

fn since(world: &World, days: i64) -> EventStream<World> {
    client(world).events(StartAt::Since(days_ago(world, days)))
}

pub(crate) fn ids(numbers: impl Iterator<Item = i64>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

#[test]
fn history_comes_first_and_each_event_once() {
    let world = past(20_000, 300);
    let mut events = since(&world, 365);
    assert_eq!(world.next_ids(&mut events, 20_000), ids(1..=20_000));
    world.append(3);
    let new = world.event_ids().split_off(20_000);
    assert_eq!(world.next_ids(&mut events, 3), new);
    assert!(events.resume_at().position().is_some());
}

/// Proves that slices that turn out to be too long are cut again, which drops few pages and no events.
#[test]
fn history_that_becomes_dense_is_cut_again() {
    let world = World::with_events(0, as_at_box);
    let start = days_ago(&world, 350);
    let sparse = |day: i64| {
        let created = start + SignedDuration::from_hours(24 * day);
        event_of(&format!("day-{day}"), created)
    };
    world.append_json((0..200).map(sparse));
    append_past(&world, 20_000, 150);
    let builder = LongPollClient::builder().page_limit(10);
    let client = world.client_with(builder);
    let client = client.enterprise(AdminLogsStreaming::default()).unwrap();
    let mut events = client.events(StartAt::Since(start));
    let mut expected: Vec<String> = (0..200).map(|day| format!("day-{day}")).collect();
    expected.extend(ids(1..=20_000));
    assert_eq!(world.next_ids(&mut events, 20_200), expected);
    let sent: usize = world.emulator(|emulator| {
        let requests = emulator.requests();
        let past = requests.filter(|one| one.stream_type.as_deref() == Some("admin_logs"));
        past.map(|request| request.events).sum()
    });
    let past = 200 + 20_000 * 137 / 150;
    assert!((past + 80..past * 12 / 10).contains(&sent), "{sent}");
}

#[test]
fn recent_start_skips_the_history_and_what_happened_before() {
    let world = past(2_000, 10);
    let mut events = since(&world, 5);
    // Event 1,000 happened exactly five days ago.
    assert_eq!(world.next_ids(&mut events, 1_001), ids(1_000..=2_000));
    assert!(events.resume_at().position().is_some());
}

#[test]
fn query_since_a_time_reads_slices_and_ends() {
    let world = past(20_000, 300);
    let range = AdminLogs::new()
        .created_after(days_ago(&world, 200))
        .created_before(days_ago(&world, 100));
    let query = world.client().admin_logs(range).unwrap();
    let mut events = query.events(StartAt::Since(days_ago(&world, 365)));
    let received = world.ids_to_the_end(&mut events);
    let expected = 20_000 / 3;
    assert_eq!(received, ids(expected + 1..=2 * expected + 1));
    assert!(matches!(
        events.status(),
        Status::Stopped { because: None, .. }
    ));
}

#[test]
fn query_without_an_end_ends_in_the_middle_of_a_second() {
    let world = past(2_000, 300);
    world.run(world.sleep(Duration::from_millis(300))).unwrap();
    let query = world.client().admin_logs(AdminLogs::new()).unwrap();
    let mut events = query.events(StartAt::Since(days_ago(&world, 300)));
    assert_eq!(world.ids_to_the_end(&mut events), ids(1..=2_000));
}

#[test]
fn history_resumes_at_a_time_without_a_loss() {
    let world = past(20_000, 300);
    let mut events = since(&world, 365);
    let first = world.next_ids(&mut events, 9_000);
    let resume_at = events.resume_at();
    assert!(matches!(resume_at, StartAt::Since(_)), "{resume_at:?}");
    drop(events);
    let mut rest = client(&world).events(resume_at);
    let repeated = world.next_ids(&mut rest, 1)[0].parse::<i64>().unwrap();
    assert_eq!(first, ids(1..=9_000));
    assert!(repeated <= 9_001, "{repeated}");
    let left = usize::try_from(20_000 - repeated).unwrap();
    assert_eq!(world.next_ids(&mut rest, left), ids(repeated + 1..=20_000));
}

#[test]
fn start_at_a_time_is_refused_where_box_has_no_history() {
    let world = past(10, 10);
    let stops = |mut events: EventStream<World>, why: &str| {
        let error = world.run(events.next()).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(why), "{error}");
    };
    let client = world.client();
    let start = StartAt::Since(days_ago(&world, 1));
    stops(client.events(start.clone()), "a user's events");
    stops(since(&world, 366), "365 days");
    let page = world.run(client.fetch(start)).unwrap_err();
    assert_eq!(page.kind(), ErrorKind::Config);
    assert_eq!(world.calls(), 0);
}

#[test]
fn refusal_for_the_number_of_calls_slows_all_slices() {
    let world = World::with_events(0, |settings| {
        as_at_box(settings);
        settings.calls_per_minute = Some(100);
    });
    append_past(&world, 100_000, 300);
    let settings = AdminLogsStreaming::default().history_calls_per_minute(1_000);
    let client = world.client().enterprise(settings).unwrap();
    let mut events = client.events(StartAt::Since(days_ago(&world, 365)));
    assert_eq!(world.next_ids(&mut events, 100_000), ids(1..=100_000));
    println!("{} calls", world.calls());
}

#[test]
fn progress_grows_to_the_end_of_the_history() {
    let world = past(20_000, 300);
    let client = world
        .client()
        .enterprise(AdminLogsStreaming::default())
        .unwrap();
    let mut batches = client.batches(StartAt::Since(days_ago(&world, 300)));
    let (mut shares, mut events) = (Vec::new(), 0);
    while let Some(batch) = world.run(batches.next()) {
        events += batch.unwrap().len();
        match batches.status() {
            Status::ReadingHistory(progress) => {
                assert_eq!(progress.events, events as u64);
                assert!(progress.until < HttpTransport::now(&world).wall);
                shares.push(progress.share());
            }
            _ => break,
        }
    }
    assert!(shares.is_sorted(), "{shares:?}");
    assert!(shares.len() > 20 && shares[0] < 0.01, "{shares:?}");
    assert!(*shares.last().unwrap() > 0.8, "{shares:?}");
}

/// A program that follows the enterprise and stores rows together with the checkpoint. It can be
/// killed at any await.
#[derive(Default)]
struct Database {
    rows: Vec<String>,
    checkpoint: Option<String>,
    ids: BTreeMap<u64, Vec<u8>>,
}

impl Database {
    fn resume_from(&self, start: Timestamp) -> ResumeFrom {
        let Some(json) = &self.checkpoint else {
            return StartAt::Since(start).into();
        };
        let checkpoint: Checkpoint = serde_json::from_str(json).unwrap();
        checkpoint.with_ids(self.ids.clone()).into()
    }

    fn commit(&mut self, events: &[Event], checkpoint: &Checkpoint) {
        let ids = events.iter().map(|event| event.id().unwrap().to_owned());
        self.rows.extend(ids);
        self.checkpoint = Some(serde_json::to_string(checkpoint).unwrap());
        if let Some(new) = checkpoint.new_ids() {
            self.ids.split_off(&new.after());
            self.ids.insert(new.after(), new.as_bytes().to_vec());
        } else if checkpoint.history_ids() == 0 {
            self.ids.clear();
        }
    }
}

/// Follows the enterprise until it is up to date, or is killed.
async fn follow(
    client: &LongPollClient<World>,
    start: Timestamp,
    database: &mut Database,
    until: usize,
) -> Vec<PossibleGap> {
    let mut gaps = Vec::new();
    let mut updates = client.subscribe_from(database.resume_from(start));
    while database.rows.len() < until {
        match updates.next().await.unwrap().unwrap() {
            Update::Started(progress) | Update::Moved(progress) => {
                database.commit(&[], progress.checkpoint());
                progress.stored();
            }
            Update::Batch(batch) => {
                database.commit(&batch, &batch.checkpoint().unwrap());
                batch.stored();
            }
            Update::PossibleGap(gap) => gaps.push(gap),
        }
    }
    gaps
}

#[test]
fn each_event_is_stored_once_although_the_program_is_killed() {
    for (edge, seed) in [(Edge::Exclusive, 1), (Edge::Inclusive, 2)] {
        let (world, ids) = troubled_past(20_000, 300, |settings| {
            settings.created_after_edge = edge;
            settings.created_before_edge = edge;
        });
        let start = days_ago(&world, 300) - SignedDuration::from_hours(1);
        let client = client(&world);
        let mut database = Database::default();
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut kills = 0;
        loop {
            let life = Duration::from_millis(rng.u64(10..1_500));
            let follow = follow(&client, start, &mut database, ids.len());
            if let Some(gaps) = world.run_for(life, follow) {
                assert!(gaps.is_empty(), "{gaps:?}");
                break;
            }
            kills += 1;
            assert!(kills < 500, "{} rows", database.rows.len());
        }
        assert!(kills > 10, "{kills} kills");
        assert_stored_once(&database, &ids);
        world.append(5);
        let gaps = world.run(follow(&client, start, &mut database, ids.len() + 5));
        assert!(gaps.is_empty(), "{gaps:?}");
        assert_eq!(
            database.rows[ids.len()..],
            world.event_ids().split_off(world.event_ids().len() - 5)
        );
    }
}

#[track_caller]
fn assert_stored_once(database: &Database, ids: &[String]) {
    let distinct: BTreeSet<&String> = database.rows.iter().collect();
    let missing: Vec<_> = ids.iter().filter(|id| !distinct.contains(id)).collect();
    assert!(
        missing.is_empty(),
        "{} are missing: {:?}",
        missing.len(),
        &missing[..3.min(missing.len())]
    );
    assert_eq!(database.rows.len(), distinct.len(), "repeated");
}

/// Proves that a program that stands still in the middle of the history, or after it, reads the
/// part of the history that has left the live stream. No event is later than the program expects:
/// such an event may have left the live stream, and lie before the part that is read again.
#[test]
fn nothing_is_missing_after_weeks_of_standstill() {
    for standstill_at in [5_000, 9_800, 10_000] {
        let (world, mut ids) = troubled_past(10_000, 200, |settings| {
            settings.late_by_ms = DAY_MS / 2;
        });
        let start = days_ago(&world, 365);
        let builder = LongPollClient::builder().event_delay(Duration::from_millis(DAY_MS));
        let client = world.client_with(builder);
        let client = client.enterprise(AdminLogsStreaming::default()).unwrap();
        let mut database = Database::default();
        world.run(follow(&client, start, &mut database, standstill_at));
        for day in 0..30 {
            let most_of_a_day = Duration::from_secs(20 * 60 * 60);
            world.run(world.sleep(most_of_a_day)).unwrap();
            let new = (0..20).map(|n| format!("new-{day}-{n}"));
            ids.extend(new.clone());
            let now = now(&world);
            world.append_json(new.map(|id| event_of(&id, now)));
        }
        let gaps = world.run(follow(&client, start, &mut database, ids.len()));
        assert_stored_once(&database, &ids);
        assert_eq!(gaps.len(), 1, "{standstill_at}: {gaps:?}");
    }
}

#[test]
fn query_since_a_time_ends_at_the_present() {
    for ends_tomorrow in [false, true] {
        let world = past(100, 10);
        let mut range = AdminLogs::new();
        if ends_tomorrow {
            range = range.created_before(days_ago(&world, -1));
        }
        let query = world.client().admin_logs(range).unwrap();
        let store = Store::default();
        let life = || query.subscribe(store.clone(), "all", StartAt::Since(days_ago(&world, 365)));
        let mut subscription = life();
        assert_eq!(world.run(acknowledged(&mut subscription)), 100);
        // An event that happens later belongs to a later run.
        world.run(world.sleep(Duration::from_secs(3_600))).unwrap();
        let later = event_of("later", now(&world) - SignedDuration::from_mins(10));
        world.append_json([later]);
        assert_eq!(world.run(acknowledged(&mut life())), 1);
        assert_eq!(world.run(acknowledged(&mut life())), 0);
        let checkpoint = store.kept().unwrap();
        assert!(matches!(checkpoint.resume_at(), StartAt::Since(at) if at <= now(&world)));
    }
}

/// Acknowledges all batches of a query, and returns the number of their events.
async fn acknowledged(subscription: &mut Subscription<World>) -> usize {
    let mut events = 0;
    while let Some(update) = subscription.next().await {
        if let Update::Batch(batch) = update.unwrap() {
            events += batch.len();
            batch.ack().await.unwrap();
        }
    }
    events
}

/// Proves that a history ends although time passes while its last slice is read.
#[test]
fn live_events_follow_even_if_each_call_takes_long() {
    let world = past(2_000, 100);
    let slow = AdminLogsStreaming::default().history_calls_per_minute(3);
    let client = world.client().enterprise(slow).unwrap();
    let mut events = client.events(StartAt::Since(days_ago(&world, 365)));
    assert_eq!(world.next_ids(&mut events, 2_000), ids(1..=2_000));
}

/// Proves that the events that were delivered before a gap are not delivered again after it.
#[test]
fn nothing_is_repeated_after_a_gap_of_a_live_stream() {
    let world = past(1_000, 30);
    let start = days_ago(&world, 365);
    let mut updates = client(&world).subscribe(Store::default(), "all", StartAt::Since(start));
    let mut received = Vec::new();
    let mut gaps = 0;
    let mut expected = ids(1..=1_000);
    for round in 0..3 {
        world.run(async {
            while received.len() < expected.len() {
                match updates.next().await.unwrap().unwrap() {
                    Update::Batch(batch) => {
                        received.extend(batch.iter().map(|event| event.id().unwrap().to_owned()));
                        batch.ack().await.unwrap();
                    }
                    Update::PossibleGap(_) => gaps += 1,
                    _ => {}
                }
            }
        });
        // The stream catches up, and then nobody polls it for weeks.
        let idle = world.run_for(Duration::from_secs(600), updates.next());
        assert!(idle.is_none(), "{idle:?}");
        for day in 0..20 {
            let most_of_a_day = Duration::from_secs(23 * 60 * 60);
            world.run(world.sleep(most_of_a_day)).unwrap();
            let id = format!("round-{round}-day-{day}");
            world.append_json([event_of(&id, now(&world))]);
            expected.push(id);
        }
    }
    assert_eq!(gaps, 2);
    received.sort();
    expected.truncate(received.len());
    expected.sort();
    assert_eq!(received, expected);
}

/// Proves that a stream uses the history's higher rate of calls only until it has caught up, even
/// after a restart.
#[test]
fn live_events_are_fetched_at_their_own_pace_after_a_restart() {
    let world = past(100, 30);
    let store = Store::default();
    let start = StartAt::Since(days_ago(&world, 365));
    let life = || client(&world).subscribe(store.clone(), "all", start.clone());
    let mut updates = life();
    world.run(acknowledge(&mut updates, 100));
    let idle = world.run_for(Duration::from_secs(600), updates.next());
    assert!(idle.is_none(), "{idle:?}");
    drop(updates);
    world.append(100_000);
    let before = world.calls();
    let minute = world.run_for(Duration::from_secs(60), acknowledge(&mut life(), 100_000));
    assert!(minute.is_none());
    let calls = world.calls() - before;
    assert!((50..=61).contains(&calls), "{calls}");
}

/// Acknowledges batches with this number of events.
async fn acknowledge(subscription: &mut Subscription<World>, events: usize) {
    let mut left = events;
    while left > 0 {
        if let Update::Batch(batch) = subscription.next().await.unwrap().unwrap() {
            left -= batch.len();
            batch.ack().await.unwrap();
        }
    }
}

#[test]
fn start_is_saved_and_shown_before_the_first_event() {
    let world = past(100, 30);
    let start = days_ago(&world, 20);
    let store = Store::default();
    let mut updates = client(&world).subscribe(store.clone(), "all", StartAt::Since(start));
    assert_eq!(updates.resume_at(), StartAt::Since(start));
    assert_eq!(updates.handle().resume_at(), StartAt::Since(start));
    let first = world.run(updates.next()).unwrap().unwrap();
    assert!(matches!(first, Update::Started(_)), "{first:?}");
    assert_eq!(store.kept().unwrap().resume_at(), StartAt::Since(start));
    assert_eq!(updates.complete_until(), None);

    // A later run that computes another time begins where the first one did.
    let later = StartAt::Since(days_ago(&world, 1));
    let mut updates = client(&world).subscribe(store, "all", later);
    world.run(async {
        while !matches!(updates.next().await.unwrap().unwrap(), Update::Batch(_)) {
            assert_eq!(updates.complete_until(), None);
        }
    });
}

/// Proves that the progress continues in a second reading. After a slow reading, a second one reads
/// the part of the past that has become older than 13 days meanwhile.
#[test]
fn progress_goes_on_in_a_second_reading() {
    let world = past(20_000, 300);
    let mut batches = client(&world).batches(StartAt::Since(days_ago(&world, 300)));
    let (mut events, mut readings) = (0, BTreeSet::new());
    while let Some(batch) = world.run(batches.next()) {
        events += batch.unwrap().len();
        let Status::ReadingHistory(progress) = batches.status() else {
            break;
        };
        assert_eq!(progress.events, events as u64);
        readings.insert(progress.until);
        // A slow consumer.
        world
            .run(world.sleep(Duration::from_secs(10 * 60)))
            .unwrap();
    }
    assert!(readings.len() > 1, "{readings:?}");
}
