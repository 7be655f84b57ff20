//! The three calls without a stream: `fetch`, `realtime_servers` and `listen`.

use std::time::Duration;

use box_longpoll::config::{Pace, RealtimeHosts};
use box_longpoll::protocol::Signal;
use box_longpoll::transport::{TransportError, TransportErrorKind};
use box_longpoll::{Error, ErrorKind, StartAt, StreamPosition};
use box_longpoll_testkit::{Endpoint, Fault};
use std::error::Error as _;

use crate::world::{TOKEN, build, builder, client, fake_box, in_time};

#[tokio::test]
async fn the_three_calls_follow_an_account_by_hand() {
    let server = fake_box(|_| ());
    let client = client(&server);

    let now = client.fetch(StartAt::Now).await.unwrap();
    assert!(now.events.is_empty());
    let position = now.next_position.unwrap();

    let servers = client.realtime_servers().await.unwrap();
    assert_eq!(servers.len(), 1);
    assert_eq!(servers[0].max_retries(), 10);

    server.append(TOKEN, 3);
    let signal = in_time(client.listen(&servers[0], &position)).await;
    assert_eq!(signal.unwrap(), Signal::NewChange);

    let page = client.fetch(&position).await.unwrap();
    let ids: Vec<_> = page.events.iter().filter_map(|event| event.id()).collect();
    assert_eq!(ids, server.event_ids(TOKEN));
    assert!(page.next_position.is_some_and(|next| next != position));
}

#[tokio::test]
async fn fetch_from_the_oldest_event_returns_the_complete_log() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 7);
    let page = client(&server).fetch(StartAt::Oldest).await.unwrap();
    assert_eq!(page.events.len(), 7);
}

/// Returns the error of a fetch that meets a fault.
async fn fetch_error(fault: Fault) -> Error {
    let server = fake_box(|_| ());
    server.queue_fault(Endpoint::Events, fault, 1);
    client(&server).fetch(StartAt::Now).await.unwrap_err()
}

#[tokio::test]
async fn error_carries_the_details_of_boxs_response() {
    let error = fetch_error(Fault::RateLimited { seconds: 7 }).await;
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.status().unwrap(), 429);
    assert_eq!(error.code(), Some("rate_limit_exceeded"));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(error.request_id().is_some());
    let error = fetch_error(Fault::BadPosition).await;
    assert_eq!(error.kind(), ErrorKind::ParameterRejected);
    assert_eq!(error.parameter(), Some("stream_position"));
    assert_eq!(
        fetch_error(Fault::Forbidden).await.kind(),
        ErrorKind::Forbidden
    );
    assert_eq!(
        fetch_error(Fault::UnauthorizedEmpty).await.kind(),
        ErrorKind::Unauthorized
    );
    assert_eq!(
        fetch_error(Fault::Html).await.kind(),
        ErrorKind::UnexpectedResponse
    );
    assert_eq!(
        fetch_error(Fault::WrongTypes).await.kind(),
        ErrorKind::PageUndecodable
    );
}

#[tokio::test]
async fn compressed_response_is_read_by_each_call() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 3);
    for endpoint in [Endpoint::Events, Endpoint::Options, Endpoint::Realtime] {
        server.queue_fault(endpoint, Fault::CompressedBody { bytes: 1_000 }, 1);
    }
    let client = client(&server);
    let page = client.fetch(StartAt::Oldest).await.unwrap();
    assert_eq!(page.events.len(), 3);
    let servers = client.realtime_servers().await.unwrap();
    let position = page.next_position.unwrap();
    let signal = in_time(client.listen(&servers[0], &position)).await;
    assert_eq!(signal.unwrap(), Signal::NewChange);
    assert_eq!(server.emulator().queued_faults(), 0);
}

#[tokio::test]
async fn error_says_why_a_body_cannot_be_decompressed() {
    for (fault, kind, reason) in [
        (
            Fault::TruncatedGzip,
            ErrorKind::Transport,
            "its gzip stream ends too early",
        ),
        (
            Fault::WrongGzipLength,
            ErrorKind::Transport,
            "its gzip stream is damaged",
        ),
        (
            Fault::NotGzip,
            ErrorKind::Transport,
            "a transport that decompresses a body must remove content-encoding",
        ),
        (
            Fault::CompressedBody { bytes: 16 << 20 },
            ErrorKind::PageUndecodable,
            "a page of events is larger than 16 MiB",
        ),
    ] {
        let error = fetch_error(fault).await;
        assert_eq!(error.kind(), kind, "{error:?}");
        let chain = error.display_chain().to_string();
        assert!(chain.contains(reason), "{chain}");
    }
}

#[tokio::test]
async fn a_servers_text_is_escaped_and_cut_in_errors() {
    let error = fetch_error(Fault::Status {
        status: 500,
        headers: [].into(),
        body: format!(
            r#"{{"type":"error","code":"\u001b[2J","message":"{}"}}"#,
            "x".repeat(10_000)
        ),
    })
    .await;
    let text = error.to_string();
    assert!(text.contains("\\u{1b}[2J"), "{text}");
    assert!(text.len() < 500, "{} bytes", text.len());
}

#[tokio::test]
async fn silent_server_differs_from_one_that_cannot_be_reached() {
    let server = fake_box(|_| ());
    let client = build(builder(&server).api_timeout(Duration::from_millis(200)));
    server.queue_fault(Endpoint::Events, Fault::Silence, 1);
    let error = client.fetch(StartAt::Now).await.unwrap_err();
    assert_eq!(transport_kind(&error), TransportErrorKind::Timeout);

    drop(server);
    let error = client.fetch(StartAt::Now).await.unwrap_err();
    assert_eq!(transport_kind(&error), TransportErrorKind::Connect);
}

/// Returns the kind of the transport error that caused an error.
fn transport_kind(error: &Error) -> TransportErrorKind {
    assert_eq!(error.kind(), ErrorKind::Transport);
    let source = error.source().expect("a source");
    source
        .downcast_ref::<TransportError>()
        .expect("a transport error")
        .kind()
}

#[tokio::test]
async fn a_list_of_servers_that_policy_refuses_is_an_error() {
    let server = fake_box(|_| ());
    let client = build(builder(&server).realtime_hosts(RealtimeHosts::default()));
    let error = client.realtime_servers().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RealtimeRefused);
}

#[tokio::test]
async fn server_that_policy_refuses_is_never_polled() {
    let server = fake_box(|_| ());
    let servers = client(&server).realtime_servers().await.unwrap();
    let strict = build(builder(&server).realtime_hosts(RealtimeHosts::default()));
    let position = "1".parse().unwrap();
    let error = strict.listen(&servers[0], &position).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RealtimeRefused);
    assert_eq!(server.counters().realtime.requests, 0);
}

#[tokio::test]
async fn as_user_selects_the_users_account() {
    let server = fake_box(|_| ());
    let client = build(builder(&server)).as_user("42").unwrap();
    client.fetch(StartAt::Now).await.unwrap();
    client.realtime_servers().await.unwrap();
    for request in server.requests() {
        assert_eq!(request.as_user.as_deref(), Some("42"));
        assert!(request.user_agent.unwrap().starts_with("box-longpoll/"));
    }
}

#[test]
fn positions_are_text_that_can_be_stored_and_checked() {
    let position: StreamPosition = "1152922976252290886".parse().unwrap();
    let json = serde_json::to_string(&position).unwrap();
    assert_eq!(json, "\"1152922976252290886\"");
    assert_eq!(
        serde_json::from_str::<StreamPosition>(&json).unwrap(),
        position
    );
    let longest = "9".repeat(16 * 1024);
    for taken in ["1 2", "1\n2", "\u{7f}", &longest] {
        assert_eq!(taken.parse::<StreamPosition>().unwrap().as_str(), taken);
    }
    let longer = format!("{longest}9");
    for refused in ["", "0", "now", "NOW", "oldest", &longer] {
        let error = refused.parse::<StreamPosition>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{refused:?}");
        assert!(serde_json::from_value::<StreamPosition>(refused.into()).is_err());
    }
    assert_eq!("now".parse::<StartAt>().unwrap(), StartAt::Now);
    assert_eq!("oldest".parse::<StartAt>().unwrap(), StartAt::Oldest);
    assert_eq!(
        "7".parse::<StartAt>().unwrap(),
        StartAt::At("7".parse().unwrap())
    );
}

#[tokio::test]
async fn an_endless_or_huge_body_is_given_up_at_the_cap() {
    let server = fake_box(|_| ());
    let client = build(
        builder(&server).pace(
            Pace::default()
                .per_second(100)
                .per_minute(2_000)
                .small_pages_per_minute(2_000),
        ),
    );
    for endpoint in [Endpoint::Options, Endpoint::Events] {
        for fault in [Fault::EndlessBody, Fault::HugeBody { bytes: 100 << 20 }] {
            server.queue_fault(endpoint, fault, 1);
            in_time(async {
                match endpoint {
                    Endpoint::Options => client.realtime_servers().await.map(drop).unwrap_err(),
                    _ => client.fetch(StartAt::Now).await.map(drop).unwrap_err(),
                }
            })
            .await;
        }
    }
}
