//! What goes out, and what an answer is.

use box_longpoll::transport::{TransportErrorKind, TransportRequest};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Version};

use crate::conformance::expect::{differs, expect_eq};
use crate::conformance::received::Received;
use crate::conformance::server::Server;
use crate::conformance::subject::{Client, Subject, failure, request, text};

/// What a transport may add to a request.
const ADDED: [&str; 6] = [
    "host",
    "connection",
    "accept",
    "accept-encoding",
    "user-agent",
    "content-length",
];

/// Sends a request, and gives what the server read.
#[track_caller]
fn received(subject: &Subject, request: impl FnOnce(&str) -> TransportRequest) -> Received {
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

fn echo(subject: &Subject) -> Server {
    Server::start(subject, |connection| {
        while connection.read_request().is_some() {
            connection.answer("hi");
        }
    })
}

/// `OPTIONS` is sent like any other method.
pub fn required_options_is_sent(subject: &Subject) {
    let sent = received(subject, |url| request(Method::OPTIONS, url, ""));
    expect_eq!(sent.line, "OPTIONS / HTTP/1.1");
}

/// A request's own headers go out with their values as they are, each as often as it is there, and in place of the
/// library's own.
pub fn required_headers_are_sent_as_given(subject: &Subject) {
    let given = [
        ("authorization", "Bearer canary"),
        ("as-user", "1234"),
        ("user-agent", "my-client/1.0 (a comment; \"quoted\")"),
        ("accept", "application/json;q=0.5"),
        ("x-spaced", "a  b\tc, d"),
        ("x-twice", "1"),
        ("x-twice", "2"),
    ];
    headers_are_sent(subject, &given);
}

/// Values of headers beyond ASCII go out as they are.
pub fn optional_headers_beyond_ascii_are_sent_as_given(subject: &Subject) {
    headers_are_sent(
        subject,
        &[("authorization", "Bearer canary"), ("x-latin", "\u{e9}")],
    );
}

/// The first of these stands in every request.
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

/// Beside `Host`, `Connection`, `Accept`, `Accept-Encoding`, `User-Agent` and `Content-Length` nothing is added, except what
/// the suite is told by `adds`.
pub fn required_nothing_else_is_sent(subject: &Subject) {
    nothing_else_is_sent(subject, &[(Method::OPTIONS, ""), (Method::GET, "")]);
}

/// Beside `Host`, `Connection`, `Accept`, `Accept-Encoding`, `User-Agent` and `Content-Length` nothing is added to a POST, with
/// a body or without one, except what the suite is told by `adds`.
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

/// A body goes out byte for byte, with its `Content-Length`.
pub fn required_a_body_is_sent_as_given(subject: &Subject) {
    let body: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let given = Bytes::from(body.clone());
    let sent = received(subject, |url| request(Method::POST, url, given));
    expect_eq!(sent.line, "POST / HTTP/1.1");
    expect_eq!(sent.header("content-length"), Some("5000"));
    expect_eq!(sent.body, body);
}

/// Cookies are not kept, and one request does not tell of another.
pub fn required_a_request_tells_nothing_of_the_one_before(subject: &Subject) {
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
        // An answer out of a cache would leave this waiting.
        server.request().await
    });
    for name in ["cookie", "referer", "if-none-match", "if-modified-since"] {
        if !subject.candidate.may_add(name) {
            expect_eq!(second.header(name), None, "the header {name}");
        }
    }
}

/// The query goes out byte for byte, as the URL spells it.
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

/// The path goes out byte for byte, as the URL spells it.
pub fn required_the_path_is_sent_byte_for_byte(subject: &Subject) {
    const TARGETS: [&str; 2] = ["/2.0/events", "/a%2Fb/%e2%82%ac;x=1,2/~-._!$&()*+,=:@//"];
    targets_are_sent(subject, &TARGETS);
}

/// What a library might write another way goes out byte for byte as well, or is refused as
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
        let answer = subject.get(&server.url(target));
        let sent = server.requests_so_far();
        let sent: Vec<_> = sent.iter().map(Received::target).collect();
        if answer.is_ok() {
            expect_eq!(sent, [target]);
        } else {
            expect_eq!(
                failure(answer),
                TransportErrorKind::InvalidRequest,
                "{target}"
            );
            expect_eq!(sent.len(), 0, "requests of a target that was refused");
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

/// A fragment stays with the client.
pub fn required_a_fragment_is_never_sent(subject: &Subject) {
    let sent = received(subject, |url| {
        request(Method::GET, &format!("{url}a?b=c#canary?d"), "")
    });
    expect_eq!(sent.target(), "/a?b=c");
}

/// A redirect is an answer, with its `Location`, and nobody else is asked.
pub fn required_never_follows_redirects(subject: &Subject) {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere =
            Server::answering(subject, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong");
        let target = elsewhere.url("/");
        let server = Server::answering(
            subject,
            format!("HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nContent-Length: 2\r\n\r\nhi"),
        );
        let answer = subject
            .get(&server.url("/"))
            .expect("expected a response, got the error");
        expect_eq!(answer.status(), status);
        expect_eq!(answer.headers()["location"], *target);
        expect_eq!(text(&answer), "hi");
        expect_eq!(elsewhere.connections(), 0, "{status} was followed");
    }
}

/// 4xx and 5xx are answers, and nothing is tried again.
pub fn required_a_status_is_an_answer(subject: &Subject) {
    statuses_are_answers(
        subject,
        &[
            201, 206, 300, 400, 401, 403, 404, 408, 410, 413, 421, 425, 429, 500, 502, 503,
        ],
    );
}

/// Statuses that no document names are answers, and nothing is tried again.
pub fn required_an_unknown_status_is_an_answer(subject: &Subject) {
    statuses_are_answers(subject, &[299, 399, 430, 529, 599]);
}

#[track_caller]
fn statuses_are_answers(subject: &Subject, statuses: &'static [u16]) {
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
    let answers = subject.drive(|client| async move {
        let mut answers = Vec::new();
        for url in &urls {
            answers.push(client.get(url).await);
        }
        answers
    });
    for (answer, &status) in answers.into_iter().zip(statuses) {
        let answer = answer
            .unwrap_or_else(|error| differs("a response", &error, &format!("status {status}")));
        expect_eq!(answer.status(), status);
        expect_eq!(answer.headers()["retry-after"], "7");
        expect_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"r\"");
        expect_eq!(text(&answer), "hi");
    }
    expect_eq!(server.requests_so_far().len(), statuses.len());
}

/// An answer's headers come back as they are, each as often as it was there, in order.
pub fn required_headers_of_an_answer_come_back(subject: &Subject) {
    let server = Server::answering(
        subject,
        "HTTP/1.1 200\r\nX-Twice: a\r\nx-other:  spaced \r\nX-TWICE: b\r\nX-Empty:\r\nContent-Length: 2\r\n\r\nhi",
    );
    let answer = subject
        .get(&server.url("/"))
        .expect("expected a response, got the error");
    let twice = answer.headers().get_all("x-twice");
    expect_eq!(twice.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    expect_eq!(answer.headers()["x-other"], "spaced");
    expect_eq!(answer.headers()["x-empty"], "");
    expect_eq!(answer.headers()["content-length"], "2");
    expect_eq!(text(&answer), "hi");
}

/// A header's value that is no UTF-8 comes back byte for byte.
pub fn required_a_header_that_is_no_utf8_comes_back(subject: &Subject) {
    let server = Server::answering(
        subject,
        b"HTTP/1.1 200 OK\r\nX-Latin: caf\xe9\r\nContent-Length: 2\r\n\r\nhi".as_slice(),
    );
    let answer = subject
        .get(&server.url("/"))
        .expect("expected a response, got the error");
    expect_eq!(answer.headers()["x-latin"].as_bytes(), b"caf\xe9");
    expect_eq!(text(&answer), "hi");
}

/// Headers of 32 KB come back.
pub fn optional_long_headers_come_back(subject: &Subject) {
    let long = "x".repeat(8 * 1024);
    let server = Server::answering(
        subject,
        format!(
            "HTTP/1.1 200 OK\r\nX-1: {long}\r\nX-2: {long}\r\nX-3: {long}\r\nX-4: {long}\r\nContent-Length: 2\r\n\r\nhi"
        ),
    );
    let answer = subject
        .get(&server.url("/"))
        .expect("expected a response, got the error");
    expect_eq!(answer.headers()["x-4"], *long);
}

/// An answer of HTTP/1.0 is an answer, with a length or without.
pub fn required_http_1_0_is_understood(subject: &Subject) {
    for head in [
        "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 9\r\n",
    ] {
        let server = Server::answering(subject, format!("{head}\r\nhi, there"));
        let url = server.url("/");
        subject.drive(|client: Client| async move {
            expect_eq!(client.text(&url).await, "hi, there", "after {head:?}");
        });
    }
}

/// The version of an answer is the one it came in.
pub fn optional_the_version_of_an_answer_is_told(subject: &Subject) {
    for (spelled, version) in [("1.0", Version::HTTP_10), ("1.1", Version::HTTP_11)] {
        let server = Server::answering(
            subject,
            format!("HTTP/{spelled} 200 OK\r\nContent-Length: 0\r\n\r\n"),
        );
        let answer = subject
            .get(&server.url("/"))
            .expect("expected a response, got the error");
        expect_eq!(answer.version(), version);
    }
}
