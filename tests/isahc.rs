//! Proves the behavior that only the isahc transport has: certificates, proxies, logs, and
//! workarounds for curl.
//!
//! The rules for all transports are in `conformance`.

#![cfg(feature = "isahc")]

mod scripted;

use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};

use box_longpoll::HttpTransport;
use box_longpoll::transport::{TransportError, TransportErrorKind};
use box_longpoll::transports::IsahcTransport;
use bytes::Bytes;
use futures_lite::future::block_on;
use http::{Method, Response};
use isahc::config::{Configurable, RedirectPolicy};
use rstest::rstest;
use scripted::{in_environment, read_head, request, request_of, responding, serve};

const HI: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn get(url: &str) -> Result<Response<Bytes>, TransportError> {
    let transport = IsahcTransport::new().unwrap();
    block_on(transport.send(request(Method::GET, url)))
}

#[test]
fn proxies_of_the_environment_are_used_but_never_for_loopback() {
    let proxy = responding("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy");
    let refusing = responding("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
    let variables = [
        ("http_proxy", &*format!("http://{proxy}")),
        ("https_proxy", &*format!("http://{refusing}")),
        ("no_proxy", ""),
    ];
    let test = "proxies_of_the_environment_are_used_but_never_for_loopback";
    if in_environment(test, &variables).is_some() {
        return;
    }
    let server = responding(HI);
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{}/", server.port());
        assert_eq!(get(&url).unwrap().body(), "hi");
    }
    let response = get("http://elsewhere.invalid/").unwrap();
    assert_eq!(response.body(), "proxy");
    let error = get("https://elsewhere.invalid/").unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect, "{error:?}");
    assert!(error.to_string().contains("(407)"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn https_error_names_the_file_when_certificates_are_missing() {
    let variables = [("SSL_CERT_FILE", "/nowhere/at/all"), ("no_proxy", "*")];
    let test = "https_error_names_the_file_when_certificates_are_missing";
    if in_environment(test, &variables).is_some() {
        return;
    }
    let server = responding(HI);
    let http = get(&format!("http://{server}/")).unwrap();
    assert_eq!(http.body(), "hi");
    let https = format!("https://localhost:{}/", server.port());
    let error = get(&https).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Tls);
    let why = "SSL_CERT_FILE names /nowhere/at/all, which cannot be read";
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_subscriber_sees_no_secret_of_a_request() {
    // The subscriber has to be global, because isahc traces on its own thread. So the test needs
    // its own process.
    let proxy = [("https_proxy", "http://user:canary@127.0.0.1:1")];
    if in_environment("a_subscriber_sees_no_secret_of_a_request", &proxy).is_some() {
        return;
    }
    let seen = Seen::default();
    let written = seen.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || written.clone())
        .init();
    let server = responding(HI);
    get(&format!("http://{server}/canary?canary")).unwrap();
    get("http://127.0.0.1:1/canary").unwrap_err();
    get("https://elsewhere.invalid/canary").unwrap_err();
    let seen = String::from_utf8(seen.0.lock().unwrap().clone()).unwrap();
    assert!(seen.contains("isahc"), "the subscriber sees isahc's thread");
    assert!(!seen.contains("canary"), "{seen}");
}

/// A writer that keeps the text of the log.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u8>>>);

impl Write for Seen {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[rstest]
#[case::none("HTTP/1.1 200 OK\r\nConte", TransportErrorKind::Interrupted)]
#[case::chunked(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-",
    TransportErrorKind::Interrupted
)]
fn cut_headers_are_no_empty_response(
    #[case] response: &'static str,
    #[case] kind: TransportErrorKind,
) {
    let server = responding(response);
    let error = get(&format!("http://{server}/")).unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
}

#[test]
fn a_client_that_follows_redirects_follows_none() {
    let elsewhere = responding(HI);
    let server = responding(format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
    ));
    let builder = IsahcTransport::client_builder().redirect_policy(RedirectPolicy::Follow);
    let transport = IsahcTransport::with_client(builder.build().unwrap());
    let get = request(Method::GET, &format!("http://{server}/"));
    assert_eq!(block_on(transport.send(get)).unwrap().status(), 302);
}

#[test]
fn post_body_gets_no_content_type_of_a_form() {
    let (sender, head) = mpsc::channel();
    let server = serve(move |mut connection| {
        sender.send(read_head(&mut connection)).unwrap();
        connection.write_all(HI.as_bytes()).unwrap();
    });
    let transport = IsahcTransport::new().unwrap();
    let post = request_of(Method::POST, &format!("http://{server}/"), "a=b");
    block_on(transport.send(post)).unwrap();
    let head = head.recv().unwrap().to_lowercase();
    assert!(!head.contains("form"), "{head}");
}

#[rstest]
#[case::dots("/a/../b")]
#[case::escaped_dots("/a/%2E%2e/b")]
#[case::small_letters("/%c3%a9")]
fn a_path_that_curl_would_change_is_refused(#[case] path: &str) {
    let error = get(&format!("http://127.0.0.1:1{path}")).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::InvalidRequest);
}

#[test]
fn request_times_out_when_no_response_comes() {
    let server = serve(|mut connection| {
        read_head(&mut connection);
        // This waits until the client closes the connection.
        read_head(&mut connection);
    });
    let transport = IsahcTransport::new().unwrap();
    let url = format!("http://{server}/");
    let get = scripted::request_within(Method::GET, &url, std::time::Duration::from_millis(50));
    let error = block_on(transport.send(get)).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Timeout, "{error:?}");
}
