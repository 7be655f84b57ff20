//! Proves the behavior that only the surf transport has: the feature for `https`, and workarounds
//! for surf.
//!
//! The rules for all transports are in `conformance`.

#![cfg(feature = "surf")]

mod scripted;

use std::io::Write;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use box_longpoll::HttpTransport;
use box_longpoll::transport::{TransportError, TransportErrorKind};
use box_longpoll::transports::SurfTransport;
#[cfg(not(feature = "surf-native-tls"))]
use box_longpoll::{AccessToken, ErrorKind, LongPollClient, StartAt};
use bytes::Bytes;
use futures_lite::future::block_on;
use http::{Method, Response};
use rstest::rstest;
use scripted::{in_environment, read_head, request, responding, serve, texts};

fn get(url: &str) -> Result<Response<Bytes>, TransportError> {
    let transport = SurfTransport::new().unwrap();
    block_on(transport.send(request(Method::GET, url)))
}

#[test]
fn surf_uses_no_proxy_of_the_environment() {
    let nobody = "http://127.0.0.1:1";
    let variables = ["http_proxy", "HTTP_PROXY", "ALL_PROXY"].map(|name| (name, nobody));
    if in_environment("surf_uses_no_proxy_of_the_environment", &variables).is_some() {
        return;
    }
    let server = responding("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(get(&format!("http://{server}/")).unwrap().body(), "hi");
}

#[cfg(not(feature = "surf-native-tls"))]
#[test]
fn https_without_its_feature_names_the_feature() {
    let error = get("https://127.0.0.1:1/canary").unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::InvalidRequest);
    assert!(texts(&error).contains("surf-native-tls"), "{error:?}");
    assert!(!texts(&error).contains("canary"), "{error:?}");
}

#[cfg(not(feature = "surf-native-tls"))]
#[test]
fn a_stream_that_needs_https_stops_and_names_the_feature() {
    let token = AccessToken::new("canary").unwrap();
    let client = LongPollClient::new(SurfTransport::new().unwrap(), token);
    let mut events = client.events(StartAt::Now);
    let error = block_on(events.next()).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert!(
        error
            .display_chain()
            .to_string()
            .contains("surf-native-tls"),
        "{error}"
    );
    assert!(block_on(events.next()).is_none());
}

#[cfg(feature = "surf-native-tls")]
#[test]
fn a_root_that_is_no_certificate_is_refused() {
    let error = SurfTransport::with_root_certificates([&b"none"[..]]).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Tls);
}

#[rstest]
#[case::close_delimited("HTTP/1.1 200 OK\r\n\r\nhi")]
#[case::other_encoding("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nhi")]
#[case::interim("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")]
#[case::unknown_status("HTTP/1.1 529 Overloaded\r\nContent-Length: 2\r\n\r\nhi")]
#[case::http_1_0("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi")]
#[case::long_headers(format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 2\r\n\r\nhi", "x".repeat(8 * 1024)))]
#[case::panicking("HTTP/1.1 200 OK\r\nX: \u{e9}\r\nContent-Length: 2\r\n\r\nhi")]
fn unreadable_response_is_an_interruption(#[case] response: impl Into<String>) {
    let server = responding(response);
    let error = get(&format!("http://{server}/canary")).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Interrupted, "{error:?}");
    assert!(!texts(&error).contains("canary"), "{error:?}");
}

#[test]
fn error_says_that_the_connection_was_not_reused() {
    let server = responding("");
    let error = get(&format!("http://{server}/")).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Interrupted, "{error:?}");
    assert_eq!(error.connection_was_reused(), Some(false));
}

#[test]
fn chunk_with_an_extension_is_an_error_of_the_body() {
    let server =
        responding("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\n\r\n");
    let error = get(&format!("http://{server}/")).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Body, "{error:?}");
}

#[test]
fn response_has_only_the_headers_that_were_sent() {
    let server = responding("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let response = get(&format!("http://{server}/")).unwrap();
    let names: Vec<_> = response.headers().keys().collect();
    assert_eq!(names, ["content-length"]);
}

/// Proves the workaround for async-h1, which waits here until the request times out.
#[test]
fn a_chunked_body_may_end_in_two_pieces() {
    let (_silent, never) = mpsc::channel::<()>();
    let never = Mutex::new(never);
    let server = serve(move |mut connection| {
        connection.set_nodelay(true).unwrap();
        read_head(&mut connection);
        let body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r";
        connection.write_all(body.as_bytes()).unwrap();
        // The test can't observe when the client has read the first piece. If the pause is too
        // short, it proves less.
        let pause = never
            .lock()
            .unwrap()
            .recv_timeout(Duration::from_millis(100));
        assert!(pause.is_err());
        connection.write_all(b"\n").unwrap();
        // The connection stays open, because its end would wake the reader too.
        read_head(&mut connection);
    });
    // The timer runs on another thread. In the request's task it would wake the reader too.
    let (sender, response) = mpsc::channel();
    thread::spawn(move || {
        let _ = sender.send(get(&format!("http://{server}/")));
    });
    let response = response.recv_timeout(Duration::from_secs(10));
    assert_eq!(response.expect("the body ends").unwrap().body(), "hi");
}

#[rstest]
#[case::dots("/a/../b")]
#[case::quote("/?a='b'")]
#[case::braces("/{a}")]
fn a_url_that_surf_would_change_is_refused(#[case] path: &str) {
    let error = get(&format!("http://127.0.0.1:1{path}")).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::InvalidRequest);
}
