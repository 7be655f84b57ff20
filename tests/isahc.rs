//! What is the isahc transport's own: certificates, proxies, logs, and the faults of curl it keeps from its users.

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
use scripted::{answering, in_environment, read_head, request, request_of, serve};

const HI: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn get(url: &str) -> Result<Response<Bytes>, TransportError> {
    let transport = IsahcTransport::new().unwrap();
    block_on(transport.send(request(Method::GET, url)))
}

#[test]
fn proxies_of_the_environment_are_used_but_never_for_loopback() {
    let proxy = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy");
    let refusing = answering("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
    let variables = [
        ("http_proxy", &*format!("http://{proxy}")),
        ("https_proxy", &*format!("http://{refusing}")),
        ("no_proxy", ""),
    ];
    let test = "proxies_of_the_environment_are_used_but_never_for_loopback";
    if in_environment(test, &variables).is_some() {
        return;
    }
    let server = answering(HI);
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{}/", server.port());
        assert_eq!(get(&url).unwrap().body(), "hi");
    }
    let answer = get("http://elsewhere.invalid/").unwrap();
    assert_eq!(answer.body(), "proxy");
    let error = get("https://elsewhere.invalid/").unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect, "{error:?}");
    assert!(error.to_string().contains("(407)"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn without_certificates_http_works_and_https_says_what_is_missing() {
    let variables = [("SSL_CERT_FILE", "/nowhere/at/all"), ("no_proxy", "*")];
    let test = "without_certificates_http_works_and_https_says_what_is_missing";
    if in_environment(test, &variables).is_some() {
        return;
    }
    let server = answering(HI);
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
    // The subscriber has to be the whole program's: isahc traces from a thread of its own.
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
    let server = answering(HI);
    get(&format!("http://{server}/canary?canary")).unwrap();
    get("http://127.0.0.1:1/canary").unwrap_err();
    get("https://elsewhere.invalid/canary").unwrap_err();
    let seen = String::from_utf8(seen.0.lock().unwrap().clone()).unwrap();
    assert!(seen.contains("isahc"), "the subscriber sees isahc's thread");
    assert!(!seen.contains("canary"), "{seen}");
}

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
fn headers_cut_short_are_no_empty_answer(
    #[case] answer: &'static str,
    #[case] kind: TransportErrorKind,
) {
    let server = answering(answer);
    let error = get(&format!("http://{server}/")).unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
}

#[test]
fn a_client_that_follows_redirects_follows_none() {
    let elsewhere = answering(HI);
    let server = answering(format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
    ));
    let builder = IsahcTransport::client_builder().redirect_policy(RedirectPolicy::Follow);
    let transport = IsahcTransport::with_client(builder.build().unwrap());
    let asked = request(Method::GET, &format!("http://{server}/"));
    assert_eq!(block_on(transport.send(asked)).unwrap().status(), 302);
}

#[test]
fn a_body_is_called_no_form() {
    let (tell, head) = mpsc::channel();
    let server = serve(move |mut connection| {
        tell.send(read_head(&mut connection)).unwrap();
        connection.write_all(HI.as_bytes()).unwrap();
    });
    let transport = IsahcTransport::new().unwrap();
    let asked = request_of(Method::POST, &format!("http://{server}/"), "a=b");
    block_on(transport.send(asked)).unwrap();
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
fn a_connection_that_takes_no_request_times_out_as_the_request_says() {
    let server = serve(|mut connection| {
        read_head(&mut connection);
        // Until the client goes.
        read_head(&mut connection);
    });
    let transport = IsahcTransport::new().unwrap();
    let url = format!("http://{server}/");
    let asked = scripted::request_within(Method::GET, &url, std::time::Duration::from_millis(50));
    let error = block_on(transport.send(asked)).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Timeout, "{error:?}");
}
