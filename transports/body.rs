//! Reading an answer's body where the library gives it as a reader.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_io::AsyncRead;

use crate::transport::{TransportError, TransportErrorKind};

const CHUNK: usize = 8 * 1024;

/// The whole body, which is as long as `announced` by the answer's headers, or an error.
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
            Err(error) => return Err(cut(error)),
        }
    }
    if announced.is_some_and(|length| length != body.len() as u64) {
        return Err(cut(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(body.freeze())
}

fn cut(error: io::Error) -> TransportError {
    let kind = match error.kind() {
        io::ErrorKind::TimedOut => TransportErrorKind::Timeout,
        _ => TransportErrorKind::Body,
    };
    TransportError::with_source(kind, error)
}
