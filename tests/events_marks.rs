//! Proves that a byte order mark before JSON is skipped. Some proxies and editors add one.

use std::io::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::auth::{ClientCredentials, CredentialFile, RefreshToken, Subject};
use box_longpoll::protocol::Signal;
use box_longpoll::transport::{TransportError, TransportRequest};
use box_longpoll::{
    AccessToken, ErrorKind, HttpTransport, LongPollClient, StartAt, StreamPosition, TokenSource,
};
use bytes::Bytes;
use futures_lite::future::block_on;
use http::{Method, Response, StatusCode};

const MARK: &str = "\u{feff}";

/// A Box that adds a mark before each body.
#[derive(Clone, Copy)]
struct MarkedBox(StatusCode);

#[async_trait]
impl HttpTransport for MarkedBox {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let request = request.request();
        let body = match (request.method(), request.uri().path()) {
            _ if !self.0.is_success() => {
                r#"{"type":"error","code":"not_allowed","message":"no","request_id":"r1"}"#
            }
            (&Method::POST, "/oauth2/token") => {
                r#"{"access_token":"t1","expires_in":3600,"refresh_token":"r2"}"#
            }
            (&Method::OPTIONS, _) => {
                r#"{"entries":[{"url":"https://2.realtime.services.box.net/s?channel=c"}]}"#
            }
            (_, "/2.0/events") => r#"{"entries":[{"event_id":"e1"}],"next_stream_position":7}"#,
            (_, "/s") => r#"{"message":"new_change"}"#,
            other => panic!("{other:?}"),
        };
        let mut response = Response::new(Bytes::from(format!("{MARK}{body}")));
        *response.status_mut() = self.0;
        Ok(response)
    }

    async fn sleep(&self, _duration: Duration) -> Result<(), TransportError> {
        std::future::pending().await
    }
}

fn client(status: StatusCode) -> LongPollClient<MarkedBox> {
    let token = AccessToken::new("a-token-of-nobody").unwrap();
    let client = LongPollClient::builder().build(MarkedBox(status), token);
    client.unwrap()
}

#[test]
fn mark_is_skipped_before_a_page_a_list_and_a_signal() {
    let client = client(StatusCode::OK);
    let page = block_on(client.fetch(StartAt::Oldest)).unwrap();
    assert_eq!(page.events[0].id(), Some("e1"));
    let position: StreamPosition = "7".parse().unwrap();
    assert_eq!(page.next_position.as_ref(), Some(&position));
    let servers = block_on(client.realtime_servers()).unwrap();
    let signal = block_on(client.listen(&servers[0], &position)).unwrap();
    assert_eq!(signal, Signal::NewChange);
}

#[test]
fn mark_is_skipped_before_an_error_of_box() {
    let client = client(StatusCode::FORBIDDEN);
    let error = block_on(client.fetch(StartAt::Oldest)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert_eq!(error.request_id(), Some("r1"));
}

#[test]
fn mark_is_skipped_before_tokens() {
    let grant = ClientCredentials::new("id", "a secret of nobody", Subject::user("1"));
    let tokens = grant.tokens(MarkedBox(StatusCode::OK)).unwrap();
    assert!(block_on(tokens.token(None)).is_ok());
}

#[test]
fn mark_is_skipped_before_an_edited_credential() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{MARK}{{\"refresh_token\":\"r1\"}}").unwrap();
    let store = CredentialFile::open(file.path()).unwrap();
    let grant = RefreshToken::new("id", "a secret of nobody", store);
    let tokens = grant.tokens(MarkedBox(StatusCode::OK)).unwrap();
    block_on(tokens.token(None)).unwrap();
}
