//! Proves the behavior that only the reqwest transport has: its environment variables, and the
//! clients it accepts.
//!
//! The rules for all transports are in `conformance`.

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
use scripted::{in_environment, read_head, request, responding, serve, texts};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

async fn get(url: &str) -> Result<Response<Bytes>, TransportError> {
    let transport = ReqwestTransport::new().unwrap();
    transport.send(request(Method::GET, url)).await
}

#[tokio::test]
async fn client_that_follows_redirects_is_refused() {
    let target = responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let address = responding(format!(
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

/// Proves some rules for the default client. `conformance` proves all rules for a client of the
/// user.
#[rstest]
#[case::anywhere("required_works_anywhere_or_says_where_not")]
#[case::target("required_an_unusual_target_is_sent_as_given_or_refused")]
#[case::cancelled("required_a_canceled_request_leaves_the_next_alone")]
#[case::closed("required_a_kept_connection_that_closes_is_replaced")]
#[case::reset("required_a_kept_connection_that_resets_is_replaced")]
#[case::reused("required_a_reused_connection_is_never_called_fresh")]
#[case::fresh("optional_a_fresh_connection_is_opened_when_requested")]
fn default_client_keeps_the_contract(#[case] case: &str) {
    let test = "default_client_keeps_the_contract";
    let candidate = Candidate::new(|_| Arc::new(ReqwestTransport::new().unwrap()));
    Case::named(case).unwrap().run(test, candidate).unwrap();
}

#[rstest]
#[case::trusted("required_a_given_root_is_trusted")]
#[case::closed("required_a_kept_connection_that_closes_is_replaced")]
#[case::reset("required_a_kept_connection_that_resets_is_replaced")]
#[case::fresh("optional_a_fresh_connection_is_opened_when_requested")]
fn client_from_a_builder_keeps_the_contract(#[case] case: &str) {
    let test = "client_from_a_builder_keeps_the_contract";
    let candidate = Candidate::new(|setup| {
        let root = reqwest::Certificate::from_pem(setup.ca_pem().as_bytes()).unwrap();
        let builder = move || ReqwestTransport::client_builder().tls_certs_merge([root.clone()]);
        Arc::new(ReqwestTransport::with_builder(builder).unwrap())
    });
    Case::named(case).unwrap().run(test, candidate).unwrap();
}

#[tokio::test]
async fn only_a_fresh_connection_is_known_not_to_be_reused() {
    let address = responding("");
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

/// Starts a TLS server for `localhost` with an untrusted certificate. The receiver gets the head of
/// each request.
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
async fn no_request_is_sent_when_the_authority_is_unknown() {
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
    let proxy = responding("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy");
    let proxy = format!("http://{proxy}");
    let test = "proxies_of_the_environment_are_used_but_never_for_loopback";
    let refusing = responding("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
    let refusing = format!("http://{refusing}");
    let variables = [
        ("http_proxy", &*proxy),
        ("https_proxy", &*refusing),
        ("no_proxy", ""),
    ];
    if in_environment(test, &variables).is_some() {
        return;
    }
    let server = responding("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserver");
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{}/", server.port());
        assert_eq!(get(&url).await.unwrap().body(), "server");
    }
    let response = get("http://elsewhere.invalid/").await.unwrap();
    assert_eq!(response.body(), "proxy");
    let error = get("https://elsewhere.invalid/").await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect, "{error:?}");
    assert!(error.to_string().contains("(407)"), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn https_error_names_the_file_when_certificates_are_missing() {
    let test = "https_error_names_the_file_when_certificates_are_missing";
    let nowhere = "/nowhere/at/all";
    let variables = [
        ("SSL_CERT_FILE", nowhere),
        ("SSL_CERT_DIR", nowhere),
        ("no_proxy", "*"),
    ];
    if in_environment(test, &variables).is_some() {
        return;
    }
    let server = responding("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserver");
    let http = get(&format!("http://{server}/")).await.unwrap();
    assert_eq!(http.body(), "server");
    let error = get("https://elsewhere.invalid/").await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Tls);
    let why = "SSL_CERT_FILE names /nowhere/at/all, which cannot be read";
    assert!(error.to_string().contains(why), "{error}");
}

/// Proves that the client speaks HTTP/1 only. Over HTTP/2 all polls would share a connection, and
/// other crates of the program can enable HTTP/2 in reqwest.
#[test]
fn only_http_1_is_offered() {
    let builder = format!("{:?}", ReqwestTransport::client_builder());
    assert!(builder.contains("http1_only: true"), "{builder}");
}
