//! Tokens that expire, and token sources that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use box_longpoll::auth::{TokenError, token_fn};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, ErrorKind, EventStream, LongPollClient, StartAt, TokenSource};
use box_longpoll_testkit::Settings;
use tokio::sync::{Notify, Semaphore};

use crate::world::{builder, fake_box, in_time, transport};

/// Assigns a hundred tokens to one account, so that a refreshed token reaches the same account.
fn one_account(settings: &mut Settings) {
    for n in 0..100 {
        settings
            .token_accounts
            .insert(format!("token-{n}"), "account".into());
    }
}

/// Returns a source of numbered tokens that counts its calls.
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
async fn a_401_refreshes_once_for_a_thousand_waiters() {
    let server = fake_box(one_account);
    let calls = Arc::default();
    let client = builder(&server)
        .build(transport(), numbered(&calls))
        .unwrap();
    server.append("account", 1);
    let mut streams: Vec<_> = (0..1_000).map(|_| client.events(StartAt::Oldest)).collect();
    server.revoke("token-0");
    in_time(async {
        let mut tasks = tokio::task::JoinSet::new();
        for mut stream in streams.drain(..) {
            tasks.spawn(async move { stream.next().await.unwrap().unwrap() });
        }
        assert_eq!(tasks.join_all().await.len(), 1_000);
    })
    .await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_stream_outlives_its_tokens() {
    let server = fake_box(one_account);
    let calls = Arc::default();
    let client = builder(&server)
        .build(transport(), numbered(&calls))
        .unwrap();
    let mut events = client.events(StartAt::Oldest);
    for n in 0..10 {
        server.append("account", 1);
        let event = in_time(events.next()).await.unwrap().unwrap();
        assert_eq!(
            event.id(),
            server.event_ids("account").last().map(|id| &**id)
        );
        server.revoke(&format!("token-{n}"));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 10);
}

/// Polls a stream until it has called the token source, and returns the stream.
async fn leave_waiting_for_a_token(
    client: &LongPollClient<ReqwestTransport>,
    called: &Notify,
) -> EventStream<ReqwestTransport> {
    let mut stream = client.events(StartAt::Now);
    tokio::select! {
        event = stream.next() => panic!("{event:?}"),
        () = called.notified() => {}
    }
    stream
}

#[tokio::test]
async fn a_stream_that_nobody_polls_keeps_no_one_from_a_token() {
    let server = fake_box(one_account);
    let (called, permits) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let calls = Arc::new(AtomicUsize::new(0));
    let source = {
        let (called, permits, calls) = (called.clone(), permits.clone(), calls.clone());
        token_fn(move || {
            let number = calls.fetch_add(1, Ordering::SeqCst);
            let (called, permits) = (called.clone(), permits.clone());
            async move {
                called.notify_one();
                permits.acquire().await.unwrap().forget();
                AccessToken::new(format!("token-{number}")).map_err(TokenError::permanent)
            }
        })
    };
    let client = builder(&server).build(transport(), source).unwrap();

    // One stream has called the source for the first token, and is not polled any more.
    let first = leave_waiting_for_a_token(&client, &called).await;
    permits.add_permits(1);
    in_time(client.fetch(StartAt::Now)).await.unwrap();

    // Another stream has called the source for a newer token, and is not polled any more.
    server.revoke("token-0");
    let second = leave_waiting_for_a_token(&client, &called).await;
    permits.add_permits(1);
    in_time(client.fetch(StartAt::Now)).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    drop((first, second));
}

#[tokio::test]
async fn token_call_is_repeated_when_abandoned_or_after_a_panic() {
    let server = fake_box(one_account);
    let called = Arc::new(Notify::new());
    let calls = Arc::new(AtomicUsize::new(0));
    let source = {
        let (called, calls) = (called.clone(), calls.clone());
        token_fn(move || {
            let number = calls.fetch_add(1, Ordering::SeqCst);
            let called = called.clone();
            async move {
                match number {
                    0 => {
                        called.notify_one();
                        std::future::pending::<()>().await;
                    }
                    1 => panic!("the token source fails on purpose"),
                    _ => {}
                }
                Ok(AccessToken::new("token-0")?)
            }
        })
    };
    let client = builder(&server).build(transport(), source).unwrap();
    drop(leave_waiting_for_a_token(&client, &called).await);
    let error = in_time(client.fetch(StartAt::Now)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Token);
    in_time(client.fetch(StartAt::Now)).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn source_without_a_newer_token_is_called_again() {
    let server = fake_box(one_account);
    let number = Arc::new(AtomicUsize::new(0));
    let source = {
        let number = number.clone();
        token_fn(move || {
            let number = number.load(Ordering::SeqCst);
            async move { AccessToken::new(format!("token-{number}")).map_err(TokenError::permanent) }
        })
    };
    let client = builder(&server).build(transport(), source).unwrap();
    server.revoke("token-0");
    let error = client.fetch(StartAt::Now).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    number.store(1, Ordering::SeqCst);
    client.fetch(StartAt::Now).await.unwrap();
}

#[tokio::test]
async fn closure_is_called_for_the_first_token_and_after_a_401() {
    let server = fake_box(one_account);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let source = token_fn(move || {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        async move { AccessToken::new(format!("token-{number}")).map_err(TokenError::permanent) }
    });
    let client = builder(&server).build(transport(), source).unwrap();
    for _ in 0..5 {
        client.fetch(StartAt::Now).await.unwrap();
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    server.revoke("token-0");
    client.fetch(StartAt::Now).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn rejected_fixed_token_stops_the_stream_and_fails_calls() {
    let server = fake_box(|settings| settings.empty_unauthorized = true);
    server.revoke("token-0");
    let token = AccessToken::new("token-0").unwrap();
    let client = builder(&server).build(transport(), token).unwrap();
    let mut events = client.events(StartAt::Now);
    let error = in_time(events.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(events.next().await.is_none());
    let error = client.fetch(StartAt::Now).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!(server.counters().total.requests, 2);
}

#[tokio::test]
async fn source_that_fails_transiently_is_called_again() {
    let server = fake_box(one_account);
    server.append("account", 1);
    let calls = AtomicUsize::new(0);
    let source = token_fn(move || {
        let failing = calls.fetch_add(1, Ordering::SeqCst) < 3;
        async move {
            if failing {
                Err(TokenError::transient("the token endpoint is down"))
            } else {
                AccessToken::new("token-0").map_err(TokenError::permanent)
            }
        }
    });
    let client = builder(&server).build(transport(), source).unwrap();
    let mut events = client.events(StartAt::Oldest);
    assert!(in_time(events.next()).await.unwrap().is_ok());
}

#[test]
fn a_token_that_no_header_can_carry_is_refused() {
    for text in ["", "a b", "a\r\nb", "a\u{e9}", "\u{7f}"] {
        let error = AccessToken::new(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{text:?}");
    }
    let shown = format!("{:?}", AccessToken::new("canary").unwrap());
    assert!(!shown.contains("canary"));
}

#[tokio::test]
async fn call_is_not_repeated_when_there_is_no_newer_token() {
    let server = fake_box(one_account);
    server.revoke("token-0");
    let source = token_fn(|| async { Ok(AccessToken::new("token-0")?) });
    let client = builder(&server).build(transport(), source).unwrap();
    let error = in_time(client.fetch(StartAt::Now)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(
        error.to_string().contains("no newer access token"),
        "{error}"
    );
    assert_eq!(server.counters().total.requests, 1);
}
