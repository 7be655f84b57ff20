//! What is the reqwest transport's own: the environment it reads, and the clients it is made from. What it has in common
//! with every transport is in `conformance.rs`.

#![cfg(feature = "reqwest")]

mod scripted;

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};

use box_longpoll::HttpTransport;
use box_longpoll::transport::{TransportError, TransportErrorKind};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll_testkit::conformance::{Candidate, Case};
use bytes::Bytes;
use http::{Method, Response};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rstest::rstest;
use scripted::{answering, in_environment, read_head, request, serve, texts};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

async fn get(url: &str) -> Result<Response<Bytes>, TransportError> {
    let transport = ReqwestTransport::new().unwrap();
    transport.send(request(Method::GET, url)).await
}

#[tokio::test]
async fn a_client_that_follows_redirects_is_found_out() {
    let target = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let address = answering(format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\r\n"
    ));
    let url = format!("http://{address}/");
    for transport in [
        ReqwestTransport::with_client(reqwest::Client::new()),
        ReqwestTransport::with_builder(reqwest::Client::builder).unwrap(),
    ] {
        let error = transport
            .send(request(Method::GET, &url))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::InvalidRequest);
    }
}

/// A client of the program's own is under the complete suite, in `conformance.rs`.
#[rstest]
#[case::anywhere("required_works_anywhere_or_says_where_not")]
#[case::target("required_an_unusual_target_is_sent_as_given_or_refused")]
#[case::cancelled("required_a_cancelled_request_never_answers_the_next")]
#[case::closed("required_a_kept_connection_that_closes_is_replaced")]
#[case::reset("required_a_kept_connection_that_resets_is_replaced")]
#[case::reused("required_a_reused_connection_is_never_called_fresh")]
#[case::fresh("optional_a_fresh_connection_is_opened_when_requested")]
fn a_client_that_is_made_here_keeps_the_contract_too(#[case] case: &str) {
    let test = "a_client_that_is_made_here_keeps_the_contract_too";
    let candidate = Candidate::new(|_| Arc::new(ReqwestTransport::new().unwrap()));
    Case::named(case).unwrap().run(test, candidate).unwrap();
}

#[rstest]
#[case::trusted("required_a_given_root_is_trusted")]
#[case::closed("required_a_kept_connection_that_closes_is_replaced")]
#[case::reset("required_a_kept_connection_that_resets_is_replaced")]
#[case::fresh("optional_a_fresh_connection_is_opened_when_requested")]
fn a_builder_keeps_the_contract_too(#[case] case: &str) {
    let test = "a_builder_keeps_the_contract_too";
    let candidate = Candidate::new(|setup| {
        let root = reqwest::Certificate::from_pem(setup.ca_pem().as_bytes()).unwrap();
        let builder = move || ReqwestTransport::client_builder().tls_certs_merge([root.clone()]);
        Arc::new(ReqwestTransport::with_builder(builder).unwrap())
    });
    Case::named(case).unwrap().run(test, candidate).unwrap();
}

#[tokio::test]
async fn only_a_fresh_connection_is_known_not_to_be_reused() {
    let address = answering("");
    let transport = ReqwestTransport::new().unwrap();
    let get = request(Method::GET, &format!("http://{address}/"));
    for (get, reused) in [
        (get.clone(), None),
        (get.with_fresh_connection(), Some(false)),
    ] {
        let error = transport.send(get).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Interrupted, "{error:?}");
        assert_eq!(error.connection_was_reused(), reused);
    }
}

/// A TLS server for `localhost` that nobody trusts. It tells what it is sent.
fn tls_server() -> (SocketAddr, mpsc::Receiver<String>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = signing_key.serialize_der().try_into().unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let (sent, received) = mpsc::channel();
    let address = serve(move |connection| {
        let session = ServerConnection::new(config.clone()).unwrap();
        let mut stream = StreamOwned::new(session, connection);
        sent.send(read_head(&mut stream)).unwrap();
    });
    (address, received)
}

fn transports() -> Vec<ReqwestTransport> {
    vec![
        ReqwestTransport::new().unwrap(),
        #[cfg(feature = "reqwest-native-tls")]
        ReqwestTransport::with_native_tls().unwrap(),
    ]
}

#[tokio::test]
async fn an_unknown_authority_is_refused_before_a_byte_of_the_request() {
    for transport in transports() {
        let (address, received) = tls_server();
        let url = format!("https://localhost:{}/canary", address.port());
        let error = transport
            .send(request(Method::GET, &url))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Tls, "{error:?}");
        assert!(!texts(&error).contains("canary"));
        assert_eq!(received.recv().unwrap(), "");
    }
}

#[tokio::test]
async fn proxies_of_the_environment_are_used_but_never_for_loopback() {
    let proxy = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy");
    let proxy = format!("http://{proxy}");
    let test = "proxies_of_the_environment_are_used_but_never_for_loopback";
    let refusing = answering("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
    let refusing = format!("http://{refusing}");
    let variables = [
        ("http_proxy", &*proxy),
        ("https_proxy", &*refusing),
        ("no_proxy", ""),
    ];
    if in_environment(test, &variables).is_some() {
        return;
    }
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserver");
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{}/", server.port());
        assert_eq!(get(&url).await.unwrap().body(), "server");
    }
    let answer = get("http://elsewhere.invalid/").await.unwrap();
    assert_eq!(answer.body(), "proxy");
    let error = get("https://elsewhere.invalid/").await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect, "{error:?}");
    assert!(error.to_string().contains("(407)"), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_certificates_http_works_and_https_says_what_is_missing() {
    let test = "without_certificates_http_works_and_https_says_what_is_missing";
    let nowhere = "/nowhere/at/all";
    let variables = [
        ("SSL_CERT_FILE", nowhere),
        ("SSL_CERT_DIR", nowhere),
        ("no_proxy", "*"),
    ];
    if in_environment(test, &variables).is_some() {
        return;
    }
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserver");
    let http = get(&format!("http://{server}/")).await.unwrap();
    assert_eq!(http.body(), "server");
    let error = get("https://elsewhere.invalid/").await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Tls);
    let why = "SSL_CERT_FILE names /nowhere/at/all, which cannot be read";
    assert!(error.to_string().contains(why), "{error}");
}

/// Over HTTP/2 all polls would share a connection. Whether reqwest can speak it is up to other crates of the program.
#[test]
fn another_version_of_http_is_never_offered() {
    let builder = format!("{:?}", ReqwestTransport::client_builder());
    assert!(builder.contains("http1_only: true"), "{builder}");
}
