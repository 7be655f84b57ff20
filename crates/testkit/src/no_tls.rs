//! A replacement for `tls` without the feature `tls`.
//!
//! It lets the server compile without cryptography. A server with TLS does not start. Start from
//! [`Tls`].

use std::io;
use std::net::IpAddr;

use crate::line::Line;

/// The server's side of TLS, which does not exist without the feature `tls`.
#[derive(Debug)]
pub(crate) enum Tls {}

impl Tls {
    /// Returns an error, because TLS needs the feature `tls`.
    pub(crate) fn new(_address: IpAddr) -> io::Result<Self> {
        let reason = "box-longpoll-testkit was built without TLS: add its feature `tls`";
        Err(io::Error::new(io::ErrorKind::Unsupported, reason))
    }

    pub(crate) fn authority_pem(&self) -> &str {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "the handshake of `tls` takes time")]
    pub(crate) async fn accept(&self, _line: Line) -> io::Result<Line> {
        match *self {}
    }
}
