//! Tests of delivery while a store saves, and of the repeats that a checkpoint skips.

use box_longpoll_testkit::EmulatorServer;

use crate::fake_box::{TOKEN, fake_box};
use crate::store::{Behaviour, Memory};
use crate::world::{Client, client, follow, idle_until, in_time, next_batch, subscribe};

fn world() -> (std::sync::Arc<EmulatorServer>, Client) {
    let server = fake_box(|_| ());
    let client = client(&server);
    (server, client)
}

/// A store must expect this. It would lose rows if it queued them in memory and cleared the
/// complete queue after a save.
#[tokio::test]
async fn batch_is_delivered_while_an_earlier_page_is_saved() {
    let (server, client) = world();
    let store = Memory::default();
    store.behave(Behaviour::Waits);
    let mut subscription = subscribe(&client, &store).await;
    idle_until(&mut subscription, |_| store.saves().len() == 1).await;
    server.append(TOKEN, 1);
    let batch = next_batch(&mut subscription).await;
    assert_eq!(store.kept(), None, "the save is in flight");
    assert_ne!(
        store.saves()[0].resume_at().position(),
        batch.resume_at().position()
    );

    store.behave(Behaviour::Works);
    in_time(batch.ack()).await.unwrap();
    assert_eq!(store.saves().len(), 2);
}

/// `subscribe` promises to skip such a repeat. `batches` delivers it again, as its documentation
/// says.
#[tokio::test]
async fn repeat_after_a_restart_is_skipped_only_by_a_checkpoint() {
    let (server, client) = world();
    let event = |id| format!(r#"{{"event_id":"{id}"}}"#);
    server.append_json(TOKEN, ["a", "b"].map(event));
    let store = Memory::default();
    let mut subscription = subscribe(&client, &store).await;
    assert_eq!(follow(&mut subscription, 2).await, ["a", "b"]);
    drop(subscription);
    let position = store.position().unwrap();

    server.append_json(TOKEN, ["b", "c"].map(event));
    let mut subscription = subscribe(&client, &store).await;
    assert_eq!(follow(&mut subscription, 1).await, ["c"]);
    let mut batches = client.batches(position);
    let batch = in_time(batches.next()).await.unwrap().unwrap();
    let ids: Vec<_> = batch.iter().map(|event| event.id().unwrap()).collect();
    assert_eq!(ids, ["b", "c"]);
}
