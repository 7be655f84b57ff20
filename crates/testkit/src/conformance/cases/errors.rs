//! The kinds of errors, and the secrets that errors must not show.
//!
//! The client decides by the kind if it retries, and it logs errors. The files for the connection,
//! framing and TLS test the kinds of their own errors.

use box_longpoll::transport::{TransportErrorKind, TransportRequest};
use bytes::Bytes;
use http::{Method, Request};

use crate::conformance::driver::{Subject, failure, request};
use crate::conformance::expect::expect_eq;
use crate::conformance::server::Server;

/// A host name that can't be resolved is [`TransportErrorKind::Connect`].
pub fn required_an_unknown_host_is_an_error_of_connecting(subject: &Subject) {
    for scheme in ["http", "https"] {
        let kind = subject.failure(&format!("{scheme}://unknown.invalid/canary?canary"));
        expect_eq!(kind, TransportErrorKind::Connect, "over {scheme}");
    }
}

/// A scheme that the transport does not speak is [`TransportErrorKind::InvalidRequest`].
pub fn required_another_scheme_is_an_invalid_request(subject: &Subject) {
    let kind = subject.failure("ftp://127.0.0.1/canary?canary");
    expect_eq!(kind, TransportErrorKind::InvalidRequest);
}

/// A URL without a host is [`TransportErrorKind::InvalidRequest`].
pub fn required_a_url_without_a_host_is_an_invalid_request(subject: &Subject) {
    let kind = subject.failure("/canary?canary");
    expect_eq!(kind, TransportErrorKind::InvalidRequest);
}

/// A response that is not HTTP is [`TransportErrorKind::Interrupted`], because the connection
/// delivered no response.
pub fn required_what_is_no_http_is_an_interruption(subject: &Subject) {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2 canary\r\n",
        "HTTP/1.1 canary OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno header, canary\r\n\r\n",
        "\0\u{1}canary",
    ] {
        let server = Server::responding(subject, garbage);
        let kind = subject.failure(&server.url("/canary?canary"));
        expect_eq!(kind, TransportErrorKind::Interrupted, "{garbage:?}");
    }
}

/// No error shows a URL's path, query, user name or password, or a header of the request or of the
/// response. Every case that makes a request fail checks its error for secrets; this case adds
/// further secrets.
pub fn required_an_error_shows_no_secret(subject: &Subject) {
    let server = Server::responding(
        subject,
        "HTTP/1.1 200 OK\r\nX-Canary: canary\r\nContent-Length: 9\r\n\r\nhi",
    );
    let address = server.url("").replace("http://", "");
    for url in [
        format!("http://canary:canary@{address}/"),
        format!("http://{address}/canary/?token=canary"),
        format!("http://{address}/%2e%2e/canary%2Fcanary"),
        format!("https://{address}/canary?canary"),
    ] {
        subject.failure(&url);
    }
    let mut with_secrets = request(Method::POST, &server.url("/canary"), "canary");
    for name in ["cookie", "x-api-key", "proxy-authorization"] {
        let value = "canary".parse().expect("a valid value");
        with_secrets.headers_mut().insert(name, value);
    }
    subject.drive(|client| async move { failure(client.send(with_secrets).await) });
}

/// A transport sends an unusual request or returns an error, but it never panics.
pub fn required_unusual_requests_do_no_harm(subject: &Subject) {
    let server = Server::responding(subject, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let unusual = [
        Request::builder().method("PURGE").uri(server.url("/")),
        Request::builder().method("TRACE").uri(server.url("/")),
        Request::builder().uri(server.url(&format!("/{}", "canary".repeat(2_000)))),
        Request::builder().uri("http://127.0.0.1:0/canary"),
        Request::builder().uri("http://[::1%25canary]/canary"),
        Request::builder().uri("*"),
        Request::builder().uri("canary.invalid:80"),
    ];
    for request in unusual
        .into_iter()
        .filter_map(|request| request.body(Bytes::new()).ok())
    {
        let request = TransportRequest::new(request, std::time::Duration::from_secs(60), 100);
        let response = subject.drive(|client| async move { client.send(request).await });
        if response.is_err() {
            failure(response);
        }
    }
}
