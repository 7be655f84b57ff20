//! The bytes of a request, and the statuses and headers of a response.
//!
//! A transport sends a request as the client gives it and returns every complete response, without
//! an opinion of its own. Bodies are tested in `framing.rs` and `limits.rs`.

use box_longpoll::transport::{TransportErrorKind, TransportRequest};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Version};

use crate::conformance::captured_request::CapturedRequest;
use crate::conformance::driver::{Client, Subject, failure, request, text};
use crate::conformance::expect::{differs, expect_eq};
use crate::conformance::server::Server;

/// The headers that a transport may add to a request.
const ADDED: [&str; 6] = [
    "host",
    "connection",
    "accept",
    "accept-encoding",
    "user-agent",
    "content-length",
];

/// Sends a request, and returns it as the server read it.
#[track_caller]
fn received(subject: &Subject, request: impl FnOnce(&str) -> TransportRequest) -> CapturedRequest {
    let mut server = echo(subject);
    let request = request(&server.url("/"));
    subject.drive(|client| async move {
        client
            .send(request)
            .await
            .expect("expected a response, got the error");
        server.request().await
    })
}

/// Starts a server that responds to every request.
fn echo(subject: &Subject) -> Server {
    Server::start(subject, |connection| {
        while connection.read_request().is_some() {
            connection.respond("hi");
        }
    })
}

/// `OPTIONS` is sent like any other method.
pub fn required_options_is_sent(subject: &Subject) {
    let sent = received(subject, |url| request(Method::OPTIONS, url, ""));
    expect_eq!(sent.line, "OPTIONS / HTTP/1.1");
}

/// A request's own headers are sent with unchanged values, each as often as the request has it, and
/// replace those of the library.
pub fn required_headers_are_sent_as_given(subject: &Subject) {
    let given = [
        ("authorization", "Bearer canary"),
        ("as-user", "1234"),
        ("user-agent", "my-client/1.0 (a comment; \"quoted\")"),
        ("accept", "application/json;q=0.5"),
        ("accept-encoding", "gzip"),
        ("x-spaced", "a  b\tc, d"),
        ("x-twice", "1"),
        ("x-twice", "2"),
    ];
    headers_are_sent(subject, &given);
}

/// Header values with bytes beyond ASCII are sent unchanged.
pub fn optional_headers_beyond_ascii_are_sent_as_given(subject: &Subject) {
    headers_are_sent(
        subject,
        &[("authorization", "Bearer canary"), ("x-latin", "\u{e9}")],
    );
}

/// Asserts that the headers are sent as given. The first one is part of every request.
#[track_caller]
fn headers_are_sent(subject: &Subject, given: &[(&'static str, &str)]) {
    let sent = received(subject, |url| {
        let mut request = request(Method::GET, url, "");
        for &(name, value) in &given[1..] {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a valid value");
            let name = HeaderName::from_static(name);
            request.headers_mut().append(name, value);
        }
        request
    });
    for &(name, _) in given {
        if subject.candidate.may_add(name) {
            continue;
        }
        let of_name = given.iter().filter(|(other, _)| *other == name);
        let expected: Vec<_> = of_name.map(|(_, value)| value.as_bytes()).collect();
        expect_eq!(sent.header_values(name), expected, "{name}");
    }
}

/// A transport adds no headers except `Host`, `Connection`, `Accept`, `Accept-Encoding`,
/// `User-Agent`, `Content-Length`, and those listed under `adds`.
pub fn required_nothing_else_is_sent(subject: &Subject) {
    nothing_else_is_sent(subject, &[(Method::OPTIONS, ""), (Method::GET, "")]);
}

/// A transport adds no headers to a `POST`, with or without a body, except `Host`, `Connection`,
/// `Accept`, `Accept-Encoding`, `User-Agent`, `Content-Length`, and those listed under `adds`.
pub fn required_nothing_else_is_sent_with_a_post(subject: &Subject) {
    nothing_else_is_sent(subject, &[(Method::POST, ""), (Method::POST, "{\"a\":1}")]);
}

#[track_caller]
fn nothing_else_is_sent(subject: &Subject, requests: &[(Method, &'static str)]) {
    for &(ref method, body) in requests {
        let sent = received(subject, |url| request(method.clone(), url, body));
        for (name, value) in &sent.headers {
            let expected = ADDED.contains(&&**name) || name == "authorization";
            if !expected && !subject.candidate.may_add(name) {
                differs(
                    &format!("no header {name}"),
                    &String::from_utf8_lossy(value),
                    &format!("{method}; if it is added on purpose, say so: adds: [{name:?}]"),
                );
            }
        }
        expect_eq!(sent.header_values("host").len(), 1);
    }
}

/// A body is sent byte for byte, with its `Content-Length`.
pub fn required_a_body_is_sent_as_given(subject: &Subject) {
    let body: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let given = Bytes::from(body.clone());
    let sent = received(subject, |url| request(Method::POST, url, given));
    expect_eq!(sent.line, "POST / HTTP/1.1");
    expect_eq!(sent.header("content-length"), Some("5000"));
    expect_eq!(sent.body, body);
}

/// A transport keeps no cookies, and no request contains data of an earlier one.
pub fn required_a_request_shows_nothing_of_the_one_before(subject: &Subject) {
    let mut server = Server::start(subject, |connection| {
        while connection.read_request().is_some() {
            connection.write(
                "HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nETag: \"e\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nhi",
            );
        }
    });
    let url = server.url("/?canary");
    let second = subject.drive(|client| async move {
        client.text(&url).await;
        server.request().await;
        client.text(&url).await;
        // If the response came from a cache, this would wait forever.
        server.request().await
    });
    for name in ["cookie", "referer", "if-none-match", "if-modified-since"] {
        if !subject.candidate.may_add(name) {
            expect_eq!(second.header(name), None, "the header {name}");
        }
    }
}

/// The query is sent byte for byte, as the URL spells it.
pub fn required_the_query_is_sent_byte_for_byte(subject: &Subject) {
    const TARGETS: [&str; 5] = [
        "/",
        "/a?x=%20+&y=a,b;c&z&&=&q=/?:@!$()*~%00%ff&x=%27",
        "/a?",
        "/subscribe?channel=cc807c9c4869ffb1c81a&stream_type=all&stream_position=1348790499819",
        "/?url=https://b.example/?c=d%26e",
    ];
    targets_are_sent(subject, &TARGETS);
}

/// The path is sent byte for byte, as the URL spells it.
pub fn required_the_path_is_sent_byte_for_byte(subject: &Subject) {
    const TARGETS: [&str; 2] = ["/2.0/events", "/a%2Fb/%e2%82%ac;x=1,2/~-._!$&()*+,=:@//"];
    targets_are_sent(subject, &TARGETS);
}

/// A target that a library might normalize is sent byte for byte as well, or is refused as
/// [`TransportErrorKind::InvalidRequest`].
pub fn required_an_unusual_target_is_sent_as_given_or_refused(subject: &Subject) {
    const TARGETS: [&str; 8] = [
        "/a/../b",
        "/a/./b",
        "/%2e%2E/b",
        "/%c3%a9",
        "/{a}|b",
        "/?a='b'",
        "/?a=[b]",
        "/?a={b}|^`",
    ];
    let mut server = echo(subject);
    for target in TARGETS {
        let response = subject.get(&server.url(target));
        let sent = server.requests_so_far();
        let sent: Vec<_> = sent.iter().map(CapturedRequest::target).collect();
        if response.is_ok() {
            expect_eq!(sent, [target]);
        } else {
            expect_eq!(
                failure(response),
                TransportErrorKind::InvalidRequest,
                "{target}"
            );
            expect_eq!(sent.len(), 0, "requests for a target that was refused");
        }
    }
}

#[track_caller]
fn targets_are_sent(subject: &Subject, targets: &[&str]) {
    let mut server = echo(subject);
    let urls: Vec<_> = targets.iter().map(|target| server.url(target)).collect();
    let sent = subject.drive(|client| async move {
        let mut sent = Vec::new();
        for url in &urls {
            client.text(url).await;
            sent.push(server.request().await);
        }
        sent
    });
    for (sent, target) in sent.iter().zip(targets) {
        expect_eq!(sent.target(), *target);
    }
}

/// The fragment of a URL is not sent.
pub fn required_a_fragment_is_never_sent(subject: &Subject) {
    let sent = received(subject, |url| {
        request(Method::GET, &format!("{url}a?b=c#canary?d"), "")
    });
    expect_eq!(sent.target(), "/a?b=c");
}

/// A redirect is a response, with its `Location`, and the transport does not follow it.
pub fn required_never_follows_redirects(subject: &Subject) {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere =
            Server::responding(subject, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong");
        let target = elsewhere.url("/");
        let server = Server::responding(
            subject,
            format!("HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nContent-Length: 2\r\n\r\nhi"),
        );
        let response = subject
            .get(&server.url("/"))
            .expect("expected a response, got the error");
        expect_eq!(response.status(), status);
        expect_eq!(response.headers()["location"], *target);
        expect_eq!(text(&response), "hi");
        expect_eq!(elsewhere.connections(), 0, "{status} was followed");
    }
}

/// The statuses 4xx and 5xx are responses, and the transport does not retry.
pub fn required_a_status_is_a_response(subject: &Subject) {
    statuses_are_responses(
        subject,
        &[
            201, 206, 300, 400, 401, 403, 404, 408, 410, 413, 421, 425, 429, 500, 502, 503,
        ],
    );
}

/// Unassigned statuses are responses, and the transport does not retry.
pub fn required_an_unknown_status_is_a_response(subject: &Subject) {
    statuses_are_responses(subject, &[299, 399, 430, 529, 599]);
}

#[track_caller]
fn statuses_are_responses(subject: &Subject, statuses: &'static [u16]) {
    let mut server = Server::start(subject, |connection| {
        while let Some(request) = connection.read_request() {
            let status = &request.target()[1..];
            connection.write(format!(
                "HTTP/1.1 {status} As It Is\r\nRetry-After: 7\r\nWWW-Authenticate: Bearer realm=\"r\"\r\nContent-Length: 2\r\n\r\nhi"
            ));
        }
    });
    let urls: Vec<_> = statuses
        .iter()
        .map(|status| server.url(&format!("/{status}")))
        .collect();
    let responses = subject.drive(|client| async move {
        let mut responses = Vec::new();
        for url in &urls {
            responses.push(client.get(url).await);
        }
        responses
    });
    for (response, &status) in responses.into_iter().zip(statuses) {
        let response = response
            .unwrap_or_else(|error| differs("a response", &error, &format!("status {status}")));
        expect_eq!(response.status(), status);
        expect_eq!(response.headers()["retry-after"], "7");
        expect_eq!(response.headers()["www-authenticate"], "Bearer realm=\"r\"");
        expect_eq!(text(&response), "hi");
    }
    expect_eq!(server.requests_so_far().len(), statuses.len());
}

/// A response's headers are returned unchanged, in order, each as often as the response has it.
pub fn required_headers_of_a_response_come_back(subject: &Subject) {
    let server = Server::responding(
        subject,
        "HTTP/1.1 200\r\nX-Twice: a\r\nx-other:  spaced \r\nX-TWICE: b\r\nX-Empty:\r\nContent-Length: 2\r\n\r\nhi",
    );
    let response = subject
        .get(&server.url("/"))
        .expect("expected a response, got the error");
    let twice = response.headers().get_all("x-twice");
    expect_eq!(twice.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    expect_eq!(response.headers()["x-other"], "spaced");
    expect_eq!(response.headers()["x-empty"], "");
    expect_eq!(response.headers()["content-length"], "2");
    expect_eq!(text(&response), "hi");
}

/// A header value that is not UTF-8 is returned byte for byte.
pub fn required_a_header_that_is_no_utf8_comes_back(subject: &Subject) {
    let server = Server::responding(
        subject,
        b"HTTP/1.1 200 OK\r\nX-Latin: caf\xe9\r\nContent-Length: 2\r\n\r\nhi".as_slice(),
    );
    let response = subject
        .get(&server.url("/"))
        .expect("expected a response, got the error");
    expect_eq!(response.headers()["x-latin"].as_bytes(), b"caf\xe9");
    expect_eq!(text(&response), "hi");
}

/// Headers of 32 KiB are returned.
pub fn optional_long_headers_come_back(subject: &Subject) {
    let long = "x".repeat(8 * 1024);
    let server = Server::responding(
        subject,
        format!(
            "HTTP/1.1 200 OK\r\nX-1: {long}\r\nX-2: {long}\r\nX-3: {long}\r\nX-4: {long}\r\nContent-Length: 2\r\n\r\nhi"
        ),
    );
    let response = subject
        .get(&server.url("/"))
        .expect("expected a response, got the error");
    expect_eq!(response.headers()["x-4"], *long);
}

/// An HTTP/1.0 response is understood, with or without a length.
pub fn required_http_1_0_is_understood(subject: &Subject) {
    for head in [
        "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 9\r\n",
    ] {
        let server = Server::responding(subject, format!("{head}\r\nhi, there"));
        let url = server.url("/");
        subject.drive(|client: Client| async move {
            expect_eq!(client.text(&url).await, "hi, there", "after {head:?}");
        });
    }
}

/// The version of a response is the HTTP version that the server sent.
pub fn optional_the_version_of_a_response_is_reported(subject: &Subject) {
    for (spelled, version) in [("1.0", Version::HTTP_10), ("1.1", Version::HTTP_11)] {
        let server = Server::responding(
            subject,
            format!("HTTP/{spelled} 200 OK\r\nContent-Length: 0\r\n\r\n"),
        );
        let response = subject
            .get(&server.url("/"))
            .expect("expected a response, got the error");
        expect_eq!(response.version(), version);
    }
}
