//! The contract between the client and an HTTP library.
//!
//! A transport moves bytes and keeps time; it knows nothing of Box. Whoever implements [`HttpTransport`] promises:
//!
//! - **A status is an answer.** 3xx, 4xx and 5xx, known ones and others, come back as `Ok`, with their headers: each as
//!   often as it was there, in order, byte for byte. Redirects are never followed.
//! - **The request goes out as given, once.** Path and query are sent byte for byte, the fragment is not; a URL that the
//!   library would write another way is [`TransportErrorKind::InvalidRequest`]. A transport adds `Host`, `Connection`,
//!   `Accept`, `Accept-Encoding`, `User-Agent`, `Content-Length` and the headers that its user chose. It adds no `Referer`,
//!   no cookies and nothing of an earlier response. A request's own headers replace the library's. Nothing that may have reached the server is sent again: not
//!   after a status, and not when a pooled connection ends.
//! - **A kept connection may die under a request.** If it ends before the response, the error is
//!   [`TransportErrorKind::Interrupted`]. The client resends a `GET` or `OPTIONS` once, at once, and sets
//!   [`TransportRequest::fresh_connection`]; it never resends a `POST`. A good transport opens a connection for such a
//!   request. If it knows whether a failed request went out on a reused connection, it says so by
//!   [`TransportError::with_connection_reused`]; if it doesn't know, it says nothing.
//! - **A body is whole or it is an error.** It ends with its `Content-Length`, its last chunk or, without either, with the
//!   connection; a good transport then insists on the end of TLS, where there is TLS. 204 and 304 have none, and HTTP/1.0 is
//!   understood. A body cut short is [`TransportErrorKind::Body`]. Where framing contradicts itself there is an error, never
//!   a wrong body. Bytes after an answer belong to no answer.
//! - **A body is no longer than it may be.** Over [`TransportRequest::max_body`] it is
//!   [`TransportErrorKind::BodyTooLarge`], counted after decompression and while it streams in, so that a hostile server
//!   can't fill the memory. A transport that asks for compression undoes it. Headers that don't end are an error as well.
//! - **No time limit of its own** on an answer: a held poll takes minutes, before its headers or after them. The client
//!   races [`send`](HttpTransport::send) against [`sleep`](HttpTransport::sleep) and drops what is late, so a silent server
//!   must not stop the timer. Hundreds of requests are held at once, and cost no CPU.
//! - **A connect timeout**, of a minute at most, belongs to the transport. So does TCP keep-alive, by which a good one
//!   notices a dead network.
//! - **Dropping the future of `send` ends the request.** No later request gets its answer. The connection is closed at
//!   once or, where the library does not allow that, when [`TransportRequest::timeout`] has passed.
//! - **Who is not trusted is told nothing.** A certificate of an unknown authority, of another name, or out of date is
//!   [`TransportErrorKind::Tls`] before a byte of the request is sent.
//! - **It works under any executor, or says where not.** Where its runtime is missing, the error is
//!   [`TransportErrorKind::Runtime`]; it never panics, nor when it is dropped. In a runtime whose one thread the caller
//!   blocks it can't help to hang.
//! - **Nothing secret is shown.** An error, its source included, prints no path or query of a URL, no name or password in
//!   it, and no header.
//!
//! `box_longpoll_testkit::conformance_tests!` has these rules as tests, for any transport.
//!
//! A transport may wrap another one, to log or to add headers of the application's own. The trait takes `http` 1.x,
//! `bytes` 1.x and `async-trait` 0.1:
//!
//! ```
#![doc = include_str!("../examples/custom_transport/tagged.rs")]
//! ```
//!
//! It keeps the rules above but for one, on purpose: it adds `x-job`. The suite is told so by `adds: ["x-job"]`, as
//! `tests/conformance/custom.rs` does for this transport.

pub(crate) mod contract;
mod error;
mod exchange;
pub(crate) mod open_files;
mod request;

#[cfg(feature = "reqwest")]
pub(crate) use self::contract::Exchange;
pub(crate) use self::contract::{HttpTransport, Sleep};
pub use self::error::{TransportError, TransportErrorKind};
pub(crate) use self::exchange::exchange;
pub use self::request::TransportRequest;
pub use crate::clock::Moment;
