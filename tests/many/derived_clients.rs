//! Proves that derived clients share a transport and tokens, but see only their own accounts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use box_longpoll::auth::token_fn;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, ErrorKind, StartAt, TokenSource};
use rstest::rstest;
use tokio::task::JoinSet;

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::world::{account, build, in_time, token};

#[tokio::test]
async fn client_sees_its_own_account_when_derived_with_tokens() {
    let server = fake_box(|_| ());
    let client = build(builder(&server));
    for n in 0..10 {
        server.append(&account(n), n + 1);
    }
    for n in 0..10 {
        let derived = client.with_tokens(token(&account(n)));
        let page = derived.fetch(StartAt::Oldest).await.unwrap();
        let ids: Vec<_> = page.events.iter().filter_map(|event| event.id()).collect();
        assert_eq!(ids, server.event_ids(&account(n)));
    }
    let page = client.fetch(StartAt::Oldest).await.unwrap();
    assert!(page.events.is_empty(), "the client keeps its own token");
}

#[tokio::test]
async fn client_sees_its_own_events_when_derived_as_a_user() {
    let server = fake_box(|_| ());
    let client = build(builder(&server)).as_user("1").unwrap();
    for (n, user) in ["1", "22", "333"].into_iter().enumerate() {
        server.append(user, n + 1);
        let derived = client.as_user(user).unwrap();
        let page = derived.fetch(StartAt::Oldest).await.unwrap();
        assert_eq!(page.events.len(), n + 1);
        derived.realtime_servers().await.unwrap();
    }
    client.fetch(StartAt::Oldest).await.unwrap();
    let requests = server.requests();
    let users: Vec<_> = requests
        .iter()
        .filter_map(|call| call.as_user.as_deref())
        .collect();
    assert_eq!(users, ["1", "1", "22", "22", "333", "333", "1"]);
    // A derived client with other tokens acts as the same user.
    let other = client.as_user("22").unwrap().with_tokens(token("other"));
    other.fetch(StartAt::Now).await.unwrap();
    assert!(server.emulator().callers().contains_key("other as 22"));
}

#[rstest]
#[case::without_an_id("")]
#[case::with_a_line_break("1\r\nX-Injected: yes")]
fn user_id_is_refused_when_no_header_can_carry_it(#[case] user: &str) {
    let client = build(box_longpoll::LongPollClient::builder());
    assert_eq!(client.as_user(user).unwrap_err().kind(), ErrorKind::Config);
}

/// Returns a source of numbered tokens, which counts them in `calls`.
fn numbered(calls: &Arc<AtomicUsize>) -> impl TokenSource {
    let calls = calls.clone();
    token_fn(move || {
        let number = calls.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::task::yield_now().await;
            Ok(AccessToken::new(format!("token-{number}"))?)
        }
    })
}

#[tokio::test]
async fn rejected_token_is_refreshed_once_for_all_users() {
    const USERS: usize = 200;
    let server = fake_box(|_| ());
    let calls = Arc::default();
    let client = builder(&server)
        .build(ReqwestTransport::new().unwrap(), numbered(&calls))
        .unwrap();
    server.revoke("token-0");
    let mut tasks = JoinSet::new();
    for n in 0..USERS {
        let user = n.to_string();
        server.append(&user, 1);
        let mut events = client.as_user(&user).unwrap().events(StartAt::Oldest);
        let id = server.event_ids(&user).remove(0);
        tasks.spawn(async move {
            let event = events.next().await.unwrap().unwrap();
            assert_eq!(event.id(), Some(&*id));
        });
    }
    in_time(tasks.join_all()).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn derived_client_shows_no_token_and_is_small() {
    let client = build(box_longpoll::LongPollClient::builder());
    let derived = client.with_tokens(token(TOKEN)).as_user("77").unwrap();
    assert!(!format!("{derived:?}").contains(TOKEN));
    assert_eq!(size_of_val(&derived), size_of::<usize>());
}
