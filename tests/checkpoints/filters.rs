//! Tests of streams and subscriptions that deliver only the events of a filter.

use box_longpoll::event::EventFilter;
use box_longpoll::{Event, EventStream, HttpTransport, StartAt};
use box_longpoll_testkit::EmulatorServer;

use crate::fake_box::{TOKEN, fake_box};
use crate::store::Memory;
use crate::world::{Client, client, follow, idle_until, ids, in_time, next_batch, subscribe};

/// Appends an event for each of these users.
fn append(server: &EmulatorServer, users: &[&str]) {
    let next = server.event_ids(TOKEN).len();
    let event = |(n, user): (usize, &&str)| {
        let id = next + n;
        format!(r#"{{"event_id":"{id}","created_by":{{"id":"{user}"}}}}"#)
    };
    server.append_json(TOKEN, users.iter().enumerate().map(event));
}

/// Returns a client of the events that Ada has caused.
fn of_ada(server: &EmulatorServer) -> Client {
    client(server).filtered(EventFilter::new().users(["ada"]))
}

fn newest(server: &EmulatorServer) -> StartAt {
    server.emulator().newest_position(TOKEN).parse().unwrap()
}

/// Returns the ids of the next `count` events.
async fn next_ids<T: HttpTransport>(events: &mut EventStream<T>, count: usize) -> Vec<String> {
    let mut came = Vec::new();
    while came.len() < count {
        let event: Event = in_time(events.next()).await.unwrap().unwrap();
        came.push(event.id().unwrap().to_owned());
    }
    came
}

#[tokio::test]
async fn restart_repeats_only_unacknowledged_events_that_match() {
    let server = fake_box(|settings| settings.repeat_rate = 0.2);
    append(&server, &["ada", "bob", "bob", "bob", "ada", "ada", "bob"]);
    let (client, store) = (of_ada(&server), Memory::default());
    let mut subscription = subscribe(&client, &store).await;
    assert_eq!(follow(&mut subscription, 1).await, ["0"]);
    let unacknowledged = next_batch(&mut subscription).await;
    assert_eq!(ids(&unacknowledged)[0], "4");
    // The process is killed while it handles the batch.
    drop((unacknowledged, subscription));

    append(&server, &["bob", "bob", "ada"]);
    let mut resumed = subscribe(&client, &store).await;
    assert_eq!(follow(&mut resumed, 3).await, ["4", "5", "9"]);
}

#[tokio::test]
async fn checkpoint_moves_without_an_acknowledgement() {
    let server = fake_box(|_| ());
    append(&server, &["bob"; 9]);
    let (client, store) = (of_ada(&server), Memory::default());
    let mut subscription = subscribe(&client, &store).await;
    let end = newest(&server);
    idle_until(&mut subscription, |subscription| {
        subscription.resume_at() == end
    })
    .await;
    assert_eq!(store.kept().unwrap().resume_at(), end);
    drop(subscription);

    append(&server, &["ada"]);
    let mut resumed = subscribe(&client, &store).await;
    assert_eq!(follow(&mut resumed, 1).await, ["9"]);
}

#[tokio::test]
async fn checkpoint_stays_before_a_batch_that_is_held() {
    let server = fake_box(|_| ());
    append(&server, &["bob", "bob", "ada", "bob", "bob", "bob"]);
    let (client, store) = (of_ada(&server), Memory::default());
    let mut subscription = subscribe(&client, &store).await;
    let batch = next_batch(&mut subscription).await;
    assert_eq!(ids(&batch), ["2"]);
    let end = newest(&server);
    let handle = subscription.handle();
    let listening = |status: &str| status.starts_with("listening");
    idle_until(&mut subscription, |subscription| {
        listening(&subscription.status().to_string())
    })
    .await;
    assert_ne!(handle.resume_at(), end);
    in_time(batch.ack()).await.unwrap();
    assert_eq!(handle.resume_at(), end);
}

#[tokio::test]
async fn subscription_resumes_with_another_filter() {
    let server = fake_box(|_| ());
    append(&server, &["ada", "bob"]);
    let store = Memory::default();
    let mut subscription = subscribe(&of_ada(&server), &store).await;
    assert_eq!(follow(&mut subscription, 1).await, ["0"]);
    drop(subscription);
    append(&server, &["ada", "bob"]);
    let of_bob = client(&server).filtered(EventFilter::new().users(["bob"]));
    let mut resumed = subscribe(&of_bob, &store).await;
    assert_eq!(follow(&mut resumed, 1).await, ["3"]);
}

#[tokio::test]
async fn filter_belongs_to_streams_and_derived_clients() {
    let server = fake_box(|_| ());
    append(&server, &["ada", "bob", "ada"]);
    let of_ada = of_ada(&server);
    let page = in_time(of_ada.fetch(StartAt::Oldest)).await.unwrap();
    assert_eq!(page.events.len(), 2, "a call by hand is not filtered");

    let derived = of_ada.as_user(TOKEN).unwrap();
    assert_eq!(
        next_ids(&mut derived.events(StartAt::Oldest), 2).await,
        ["0", "2"]
    );
    let of_bob = of_ada.filtered(EventFilter::new().users(["bob"]));
    assert_eq!(
        next_ids(&mut of_bob.events(StartAt::Oldest), 1).await,
        ["1"]
    );
    let of_all = of_ada.filtered(EventFilter::new());
    assert_eq!(
        next_ids(&mut of_all.events(StartAt::Oldest), 3).await,
        ["0", "1", "2"]
    );
}
