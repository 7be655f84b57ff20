//! Tests of the subject and the format number in a checkpoint. A client refuses a checkpoint of
//! another subject or of a newer format.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::auth::TokenError;
use box_longpoll::auth::{ClientCredentials, Subject};
use box_longpoll::checkpoint::{Checkpoint, CheckpointFile, CheckpointStore as _};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, Error, ErrorKind, StartAt, TokenSource};
use box_longpoll_testkit::{Application, EmulatorServer};
use serde_json::{Value, json};

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::store::Memory;
use crate::world::{
    ACCOUNT, Client, build, checkpoint, client, follow, in_time, started, subscribe,
};

const APPLICATION: &str = "the-client-id";
const SECRET: &str = "a-secret-that-nobody-may-see";
const ENTERPRISE: &str = "801234";

/// A program's own token source, which forwards to another one.
struct Wrapped(Arc<dyn TokenSource>);

#[async_trait]
impl TokenSource for Wrapped {
    async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        self.0.token(rejected).await
    }

    fn subject(&self) -> Option<Subject> {
        self.0.subject()
    }
}

fn granted(server: &EmulatorServer, subject: Subject) -> Client {
    let transport = ReqwestTransport::new().unwrap();
    let tokens = ClientCredentials::new(APPLICATION, SECRET, subject)
        .api_origin(server.origin())
        .tokens(transport.clone())
        .unwrap();
    let tokens: Arc<dyn TokenSource> = Arc::new(Wrapped(Arc::new(tokens)));
    builder(server).build(transport, tokens).unwrap()
}

/// Returns clients for different accounts, each with the name that an error gives to its subject.
fn clients(server: &EmulatorServer) -> Vec<(Client, &'static str)> {
    let token = client(server);
    let user = token.as_user("17").unwrap();
    let other_user = user.as_user("18").unwrap();
    vec![
        (token, "the access token's own account"),
        (user, "user:17"),
        (other_user, "user:18"),
        (granted(server, Subject::user("19")), "user:19"),
        (
            granted(server, Subject::enterprise(ENTERPRISE)),
            "enterprise:801234",
        ),
    ]
}

fn server() -> Arc<EmulatorServer> {
    let server = fake_box(|_| ());
    server.register(Application::new(APPLICATION, SECRET, ENTERPRISE));
    server
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, Error>, words: &[&str]) {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint, "{error}");
    for word in words {
        let chain = error.display_chain().to_string();
        assert!(chain.contains(word), "{word}: {chain}");
    }
}

#[tokio::test]
async fn checkpoint_is_refused_when_another_subject_opens_it() {
    let server = server();
    let clients = clients(&server);
    for (owner, its_name) in &clients {
        let store = Memory::default();
        let subscription = in_time(started(owner.subscribe(
            store.clone(),
            ACCOUNT,
            StartAt::Now,
        )))
        .await;
        drop(subscription.unwrap());
        let kept = store.kept().unwrap();
        let subject = kept.subject().map(ToString::to_string);
        assert_eq!(subject.as_deref().unwrap_or(clients[0].1), *its_name);
        let requests = server.counters().total.requests;
        for (client, name) in &clients {
            let subscribed = in_time(started(client.subscribe(
                store.clone(),
                ACCOUNT,
                StartAt::Now,
            )))
            .await;
            if name == its_name {
                assert!(subscribed.is_ok(), "{subscribed:?}");
            } else {
                assert_refused(subscribed, &["subject", its_name, name]);
            }
        }
        assert_eq!(server.counters().total.requests, requests);
        assert_eq!(store.kept().unwrap(), kept);
    }
}

#[tokio::test]
async fn user_resumes_by_header_from_a_checkpoint_by_grant() {
    let server = server();
    let by_grant = granted(&server, Subject::user("17"));
    let by_header = granted(&server, Subject::enterprise(ENTERPRISE));
    let by_header = by_header.as_user("17").unwrap();
    server.append("17", 4);
    let store = Memory::default();
    let mut subscription = subscribe(&by_grant, &store).await;
    follow(&mut subscription, 4).await;
    drop(subscription);
    server.append("17", 2);
    let mut resumed = subscribe(&by_header, &store).await;
    assert_eq!(follow(&mut resumed, 2).await, server.event_ids("17")[4..]);
}

#[cfg(feature = "blocking")]
#[test]
fn blocking_client_refuses_the_checkpoint_of_another_user() {
    let server = server();
    let client = builder(&server)
        .build_blocking(
            ReqwestTransport::new().unwrap(),
            AccessToken::new(TOKEN).unwrap(),
        )
        .unwrap();
    let (ada, bob) = (client.as_user("17").unwrap(), client.as_user("18").unwrap());
    let store = Memory::default();
    let begin = |client: &box_longpoll::blocking::LongPollClient<_>| {
        let updates = client.subscribe(store.clone(), ACCOUNT, StartAt::Now);
        updates.take(1).next().unwrap()
    };
    assert!(begin(&ada).is_ok());
    assert_refused(begin(&bob), &["subject", "user:17", "user:18"]);
    assert!(begin(&ada).is_ok());
}

#[tokio::test]
async fn checkpoint_of_format_1_is_read_and_gains_the_subject() {
    let server = server();
    let user = build(builder(&server)).as_user("17").unwrap();
    let position = server.emulator().newest_position("17");
    let old = checkpoint(&server, &position, Duration::ZERO);
    assert_eq!(old.subject(), None);
    // A compact encoding has no names of fields, only their old order.
    let fields = serde_json::to_value(&old).unwrap();
    let names = "account stream_type api_origin position last_success id_key ids";
    let fields: Vec<&Value> = names.split(' ').map(|name| &fields[name]).collect();
    let packed = rmp_serde::to_vec(&fields).unwrap();
    assert_eq!(rmp_serde::from_slice::<Checkpoint>(&packed).unwrap(), old);

    let store = Memory::with(&old);
    assert_eq!(store.kept().unwrap(), old, "rewriting adds no subject");
    server.append("17", 1);
    let mut subscription = subscribe(&user, &store).await;
    assert_eq!(follow(&mut subscription, 1).await, server.event_ids("17"));
    drop(subscription);
    assert_eq!(store.kept().unwrap().subject(), Some(&Subject::user("17")));
    let of_another = in_time(started(client(&server).subscribe(
        store,
        ACCOUNT,
        StartAt::Now,
    )))
    .await;
    assert_refused(of_another, &["user:17"]);
}

/// Returns the JSON of a checkpoint as this version writes it.
fn written(server: &EmulatorServer) -> Value {
    serde_json::to_value(checkpoint(server, "17", Duration::ZERO)).unwrap()
}

#[tokio::test]
async fn newer_format_is_an_error_that_names_both() {
    let server = server();
    let mut newer = written(&server);
    assert_eq!(newer["format"], 3);
    newer["format"] = 4.into();
    for newer in [newer, json!({"format": 4, "of": "other fields"})] {
        let error = serde_json::from_value::<Checkpoint>(newer).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("format 4") && said.contains("format 3"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn newer_format_in_a_file_is_left_as_it_is() {
    let server = server();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    let store = CheckpointFile::open(&path).unwrap();
    let ours = checkpoint(&server, "17", Duration::ZERO);
    store.save(ACCOUNT, &ours).await.unwrap();
    drop(store);
    let text = std::fs::read_to_string(&path).unwrap();
    let newer_layout = text.replacen(" checkpoint 1 ", " checkpoint 2 ", 1);
    assert_ne!(newer_layout, text);
    std::fs::write(&path, &newer_layout).unwrap();
    let store = CheckpointFile::open(&path).unwrap();
    let subscribed = in_time(started(client(&server).subscribe(
        store,
        ACCOUNT,
        StartAt::Now,
    )))
    .await;
    assert_refused(subscribed, &["layout 2", "layout 1"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), newer_layout);
}

/// The fields that only some checkpoints have: those of a newer format, of a client that knows its
/// user, of a history and of a query.
const OPTIONAL: [&str; 11] = [
    "format",
    "subject",
    "since",
    "forget_ids_at",
    "history_began_at",
    "history_ids",
    "slice_until",
    "slice_position",
    "created_after",
    "created_before",
    "event_types",
];

#[test]
fn checkpoint_that_lacks_a_field_is_an_error_that_names_it() {
    let server = server();
    let complete = written(&server);
    for (field, _) in complete.as_object().unwrap() {
        let mut part = complete.clone();
        part.as_object_mut().unwrap().remove(field);
        let read = serde_json::from_value::<Checkpoint>(part);
        if OPTIONAL.contains(&&**field) {
            assert!(read.is_ok(), "{read:?}");
        } else {
            let said = read.unwrap_err().to_string();
            assert!(said.contains(field), "{said}");
        }
    }
}

#[tokio::test]
async fn subject_survives_being_written_and_read() {
    let server = server();
    for user in ["17", "1 7", "a:b", "é", "user:17"] {
        let client = build(builder(&server)).as_user(user).unwrap();
        let mut json = written(&server);
        json["subject"] = format!("user:{user}").into();
        let kept: Checkpoint = serde_json::from_value(json).unwrap();
        assert_eq!(kept.subject(), Some(&Subject::user(user)));
        let packed = rmp_serde::to_vec(&kept).unwrap();
        assert_eq!(rmp_serde::from_slice::<Checkpoint>(&packed).unwrap(), kept);
        let packed = postcard::to_stdvec(&kept).unwrap();
        assert_eq!(postcard::from_bytes::<Checkpoint>(&packed).unwrap(), kept);
        let store = Memory::with(&kept);
        let subscribed = in_time(started(client.subscribe(store, ACCOUNT, StartAt::Oldest))).await;
        assert!(subscribed.is_ok(), "{subscribed:?}");
    }
    for odd in ["", "17", "group:17"] {
        let mut json = written(&server);
        json["subject"] = odd.into();
        let error = serde_json::from_value::<Checkpoint>(json).unwrap_err();
        assert!(error.to_string().contains("subject"), "{error}");
    }
}
