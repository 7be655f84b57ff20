//! The contract between the client and an HTTP library.
//!
//! A transport moves bytes and keeps time. It knows nothing about Box. An implementation of
//! [`HttpTransport`] promises:
//!
//! - **A status is never an error.** A response is `Ok` with any status: 3xx, 4xx, 5xx or an
//!   unknown one. It has all headers that the server sent, in order and byte for byte. A header
//!   that was sent twice is there twice. The transport never follows redirects.
//! - **A request is sent unchanged, and once.** Path and query are sent byte for byte, and the
//!   fragment is not sent. If the library would write a URL another way, the error is
//!   [`TransportErrorKind::InvalidRequest`]. The transport adds `Host`, `Connection`, `Accept`,
//!   `Accept-Encoding`, `User-Agent`, `Content-Length` and the headers that its user chose. It adds
//!   no `Referer`, no cookies and nothing from an earlier response. A request's own headers replace
//!   the library's. The transport never resends a request that may have reached the server: not
//!   after a status, and not after a pooled connection ended.
//! - **A kept connection may end under a request.** If it ends before the response, the error is
//!   [`TransportErrorKind::Interrupted`]. The client resends a `GET` or `OPTIONS` once, at once,
//!   and sets [`TransportRequest::fresh_connection`]. It never resends a `POST`. A good transport
//!   opens a new connection for such a request. If it knows whether a failed request was sent on a
//!   reused connection, it reports that with [`TransportError::with_connection_reused`]. Otherwise
//!   it reports nothing. So idle connections need no time limit, but a limit on
//!   their number.
//! - **A body is complete, or there is an error.** It ends with its `Content-Length`, with its last
//!   chunk or, without either, with the connection. In the last case, a good transport over TLS
//!   also requires the alert that ends TLS (`close_notify`). Responses with 204 and 304 have no
//!   body, and HTTP/1.0 is understood. A body that is cut short is [`TransportErrorKind::Body`]. If
//!   the framing contradicts itself, there is an error, never a wrong body. Bytes after a response
//!   belong to no response.
//! - **A body has a size limit.** A body longer than [`TransportRequest::max_body`] is
//!   [`TransportErrorKind::BodyTooLarge`]. The transport counts bytes as they arrive, so that a
//!   hostile server can't fill the memory. Headers that never end are an error as well.
//! - **Compression and its header go together.** The client requests gzip for API calls, and
//!   decompresses bodies itself. A transport hands on a compressed body unchanged, with its
//!   `Content-Encoding`. If its library decompresses bodies, the transport counts the decompressed
//!   bytes, and removes `Content-Encoding` and `Content-Length` from the response.
//! - **A response has no time limit.** A held poll takes minutes, before its headers or after them.
//!   The client races [`send`](HttpTransport::send) against [`sleep`](HttpTransport::sleep) and
//!   drops a request that is late, so a silent server must not block the timer. Hundreds of
//!   requests are held at once, and use no CPU.
//! - **A connection attempt has a timeout** of at most 60 s, which belongs to the transport. So
//!   does TCP keep-alive, with which a good transport detects a dead network.
//! - **Dropping the future of `send` ends the request.** No later request gets its response. The
//!   connection is closed at once or, if the library does not allow that, after
//!   [`TransportRequest::timeout`].
//! - **An untrusted server receives nothing.** The error is [`TransportErrorKind::Tls`] if the
//!   certificate has an unknown authority, has another name, or is out of date. No byte of the
//!   request is sent before that check.
//! - **It works under any executor, or reports that it can't.** If its runtime is missing, the
//!   error is [`TransportErrorKind::Runtime`]. It never panics, not even when it is dropped. There
//!   is one exception. If the caller blocks the only thread of the transport's runtime, the
//!   transport may hang.
//! - **Secrets are never shown.** An error and its source show no header. They show no path, query,
//!   user or password of a URL.
//!
//! `box_longpoll_testkit::conformance_tests!` tests any transport against these rules.
//!
//! A transport may wrap another one, to log requests or to add headers. The trait uses `http` 1.x,
//! `bytes` 1.x and `async-trait` 0.1:
//!
//! ```
#![doc = include_str!("../examples/custom_transport/tagged.rs")]
//! ```
//!
//! This transport breaks one rule on purpose: it adds the header `x-job`.
//! `tests/conformance/custom.rs` declares that to the suite by `adds: ["x-job"]`.

pub(crate) mod contract;
mod error;
mod exchange;
mod inflate;
pub(crate) mod open_files;
mod request;

#[cfg(feature = "reqwest")]
pub(crate) use self::contract::Exchange;
pub(crate) use self::contract::{HttpTransport, Sleep};
pub use self::error::{TransportError, TransportErrorKind};
pub(crate) use self::exchange::exchange;
pub(crate) use self::inflate::ReceivedBody;
pub use self::request::TransportRequest;
pub use crate::clock::Moment;
