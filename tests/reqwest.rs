//! The reqwest transport against scripted servers: what it sends, what it takes, and what each failure is called.

#![cfg(feature = "reqwest")]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use box_longpoll::HttpTransport;
use box_longpoll::transport::{TransportError, TransportErrorKind, TransportRequest};
use box_longpoll::transports::ReqwestTransport;
use bytes::Bytes;
use http::{Method, Request, Response};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rstest::rstest;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

const MAX_BODY: usize = 1_000;

/// Serves each connection by `script`, on a thread, until the test ends.
fn serve(script: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            script(connection.unwrap());
        }
    });
    address
}

/// A server that reads a request, writes these bytes, and closes.
fn answering(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    serve(move |mut connection| {
        read_head(&mut connection);
        // The client may have had enough before the end.
        let _ = connection.write_all(&answer);
    })
}

fn read_head(connection: &mut impl Read) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(connection);
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
    head
}

fn request(method: Method, url: &str) -> TransportRequest {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", "Bearer canary")
        .body(Bytes::new())
        .unwrap();
    TransportRequest::new(request, Duration::from_secs(60), MAX_BODY)
}

async fn get(url: &str) -> Result<Response<Bytes>, TransportError> {
    let transport = ReqwestTransport::new().unwrap();
    transport.send(request(Method::GET, url)).await
}

#[rstest]
#[case::success(200)]
#[case::redirect(302)]
#[case::client_error(404)]
#[case::server_error(503)]
#[case::unusual(529)]
#[tokio::test]
async fn a_status_is_an_answer(#[case] status: u16) {
    let address = answering(format!(
        "HTTP/1.1 {status} X\r\nLocation: http://elsewhere.invalid/\r\nX-Twice: a\r\nX-Twice: b\r\nContent-Length: 2\r\n\r\nhi"
    ));
    let answer = get(&format!("http://{address}/")).await.unwrap();
    assert_eq!(answer.status(), status);
    assert_eq!(answer.headers().get_all("x-twice").iter().count(), 2);
    assert_eq!(answer.body(), "hi");
}

#[tokio::test]
async fn a_request_goes_out_as_it_is_given() {
    let (sent, received) = mpsc::channel();
    let address = serve(move |mut connection| {
        sent.send(read_head(&mut connection)).unwrap();
        connection
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
    });
    let transport = ReqwestTransport::new().unwrap();
    for method in [Method::OPTIONS, Method::GET] {
        let url = format!("http://{address}/a%2Fb?x=%20+&y=a,b;c&z");
        transport.send(request(method.clone(), &url)).await.unwrap();
        let head = received.recv().unwrap();
        let mut lines = head.lines();
        assert_eq!(
            lines.next().unwrap(),
            format!("{method} /a%2Fb?x=%20+&y=a,b;c&z HTTP/1.1")
        );
        for line in lines.filter(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            assert!(
                [
                    "authorization",
                    "host",
                    "accept",
                    "connection",
                    "content-length"
                ]
                .contains(&name.as_str()),
                "{line}"
            );
        }
    }
}

/// The texts of an error and of all its causes.
fn texts(error: &TransportError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    text
}

#[rstest]
#[case::fin_before_headers("", TransportErrorKind::Interrupted)]
#[case::fin_in_headers("HTTP/1.1 200 OK\r\nConte", TransportErrorKind::Interrupted)]
#[case::no_http("SSH-2.0-OpenSSH\r\n\r\n", TransportErrorKind::Interrupted)]
#[case::short_body(
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
    TransportErrorKind::Body
)]
#[case::cut_chunk(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhi",
    TransportErrorKind::Body
)]
#[case::too_large_by_length(
    "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
    TransportErrorKind::BodyTooLarge
)]
#[case::too_large_by_chunks(
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{:4095}\r\n0\r\n\r\n", ""),
    TransportErrorKind::BodyTooLarge
)]
#[tokio::test]
async fn a_broken_answer_is_an_error_of_its_kind(
    #[case] answer: impl Into<Vec<u8>>,
    #[case] kind: TransportErrorKind,
) {
    let address = answering(answer);
    let error = get(&format!("http://{address}/canary?canary"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(!texts(&error).contains("canary"), "{}", texts(&error));
}

#[rstest]
#[case::refused("http://127.0.0.1:1/canary", TransportErrorKind::Connect)]
#[case::unknown_host("http://canary.invalid/canary", TransportErrorKind::Connect)]
#[case::other_scheme("ftp://127.0.0.1/canary", TransportErrorKind::InvalidRequest)]
#[tokio::test]
async fn a_request_that_cannot_be_sent_is_an_error_of_its_kind(
    #[case] url: &str,
    #[case] kind: TransportErrorKind,
) {
    let error = get(url).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(!texts(&error).contains("/canary"), "{}", texts(&error));
}

#[tokio::test]
async fn dropping_the_future_closes_the_connection() {
    let (sent, received) = mpsc::channel();
    let address = serve(move |mut connection| {
        read_head(&mut connection);
        sent.send("asked").unwrap();
        connection
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        // The end of the connection, or the time limit.
        let closed = connection.read(&mut [0]).is_ok_and(|read| read == 0);
        sent.send(if closed { "closed" } else { "open" }).unwrap();
    });
    let url = format!("http://{address}/");
    let asked = tokio::task::spawn_blocking(move || {
        assert_eq!(received.recv().unwrap(), "asked");
        received
    });
    let received = tokio::select! {
        answer = get(&url) => panic!("{answer:?}"),
        received = asked => received.unwrap(),
    };
    let end = tokio::task::spawn_blocking(move || received.recv().unwrap()).await;
    assert_eq!(end.unwrap(), "closed");
}

#[tokio::test]
async fn a_client_that_follows_redirects_is_found_out() {
    let target = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let address = answering(format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\r\n"
    ));
    let transport = ReqwestTransport::with_client(reqwest::Client::new());
    let url = format!("http://{address}/");
    let error = transport
        .send(request(Method::GET, &url))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::InvalidRequest);
}

/// A TLS server for `localhost` that counts the bytes it is sent, and its certificate.
fn tls_server() -> (SocketAddr, mpsc::Receiver<String>, String) {
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
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    (address, received, cert.pem())
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
        let (address, received, _) = tls_server();
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
async fn an_extra_root_is_trusted_and_another_name_is_not() {
    let (address, received, certificate) = tls_server();
    let root = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
    let client = ReqwestTransport::client_builder().tls_certs_merge([root]);
    let transport = ReqwestTransport::with_client(client.build().unwrap());
    let url = format!("https://localhost:{}/", address.port());
    let answer = transport.send(request(Method::GET, &url)).await.unwrap();
    assert_eq!(answer.body(), "hi");
    assert!(received.recv().unwrap().starts_with("GET / HTTP/1.1"));

    let url = format!("https://127.0.0.1:{}/", address.port());
    let error = transport
        .send(request(Method::GET, &url))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Tls, "{error:?}");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_an_error_of_tls() {
    let address = answering("HTTP/1.1 400 Bad Request\r\n\r\n");
    let error = get(&format!("https://localhost:{}/", address.port()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Tls, "{error:?}");
}

/// Runs a test of this file once more, as a program with other environment variables. Inside it this is `None`.
fn in_environment(test: &str, variables: &[(&str, &str)]) -> Option<()> {
    const INSIDE: &str = "BOX_LONGPOLL_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(())
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
    assert!(texts(&error).contains("ca-certificates"), "{error:?}");
}

#[test]
fn outside_a_runtime_nothing_panics() {
    let transport = ReqwestTransport::new().unwrap();
    let sent = transport.send(request(Method::GET, "http://127.0.0.1:1/"));
    let error = futures_lite::future::block_on(sent).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Runtime);
    let slept = transport.sleep(Duration::from_millis(1));
    let error = futures_lite::future::block_on(slept).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Runtime);
}
