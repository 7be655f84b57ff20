//! Reading a response's body from a library that provides it as a reader.
//!
//! [`read`] collects the body up to the maximum size of the request, and detects a body that ends
//! too early. The transports over isahc and surf share it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_io::AsyncRead;

use crate::transport::{TransportError, TransportErrorKind};

/// The size of the buffer for one read, in bytes.
const CHUNK: usize = 8 * 1024;

/// Reads the complete body. `announced` is the length in the response's headers, in bytes.
///
/// # Errors
///
/// [`TransportErrorKind::BodyTooLarge`] if the body has more than `max_body` bytes, and
/// [`TransportErrorKind::Body`] or [`TransportErrorKind::Timeout`] if it does not arrive
/// completely.
pub(super) async fn read(
    mut reader: impl AsyncRead + Unpin,
    announced: Option<u64>,
    max_body: usize,
) -> Result<Bytes, TransportError> {
    let too_large = || TransportError::new(TransportErrorKind::BodyTooLarge);
    if announced.is_some_and(|length| length > max_body as u64) {
        return Err(too_large());
    }
    let mut chunk = vec![0; CHUNK];
    let mut body = BytesMut::new();
    loop {
        match poll_fn(|cx| Pin::new(&mut reader).poll_read(cx, &mut chunk)).await {
            Ok(0) => break,
            Ok(length) if length > max_body - body.len() => return Err(too_large()),
            Ok(length) => body.extend_from_slice(&chunk[..length]),
            Err(error) => return Err(incomplete(error)),
        }
    }
    if announced.is_some_and(|length| length != body.len() as u64) {
        return Err(incomplete(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(body.freeze())
}

/// Creates the error of a body that did not arrive completely.
fn incomplete(error: io::Error) -> TransportError {
    let kind = match error.kind() {
        io::ErrorKind::TimedOut => TransportErrorKind::Timeout,
        _ => TransportErrorKind::Body,
    };
    TransportError::with_source(kind, error)
}
