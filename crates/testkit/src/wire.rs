//! HTTP/1.1 on the wire: parsing of request heads, and delivery of responses.
//!
//! An HTTP library would not send the broken responses that faults need, so this module writes the
//! bytes itself. It knows nothing of Box. Start from [`parse`] and [`deliver`].

use std::fmt::Write as _;
use std::io::{self, IoSlice};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::limits::{MAX_HEAD_BYTES, MAX_HEADERS};
use crate::line::Connected;
use crate::{Delivery, FakeResponse, Request};

/// The head of the request at the start of a buffer.
pub(crate) enum Head {
    /// Occurs when the buffer does not hold all headers yet.
    Incomplete,
    /// Occurs when the buffer holds all headers.
    Complete {
        request: Request,
        /// The length of the head, in bytes.
        length: usize,
        /// The length of the body that the head announces, in bytes.
        body: u64,
        keep_alive: bool,
        /// `true` if the client waits for `100 Continue` before it sends the body.
        wants_continue: bool,
    },
}

/// Parses the head of a request. The error is the status of the refusal.
pub(crate) fn parse(received: &[u8]) -> Result<Head, u16> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(received) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD_BYTES => length,
        Ok(httparse::Status::Partial) if received.len() <= MAX_HEAD_BYTES => {
            return Ok(Head::Incomplete);
        }
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(431),
        Err(_) => return Err(400),
    };
    let mut request = Request::new(
        parsed.method.unwrap_or_default(),
        parsed.path.unwrap_or_default(),
    );
    for header in parsed.headers.iter() {
        request = request.header(header.name, &String::from_utf8_lossy(header.value));
    }
    if request.header_value("transfer-encoding").is_some() {
        // Only forms and control requests have a body, and their clients know its length.
        return Err(411);
    }
    let body = match request.header_value("content-length") {
        Some(length) if length.bytes().all(|digit| digit.is_ascii_digit()) => {
            length.parse().map_err(|_| 400_u16)?
        }
        Some(_) => return Err(400),
        None => 0,
    };
    let says = |name, word: &str| {
        request
            .header_value(name)
            .is_some_and(|value| value.eq_ignore_ascii_case(word))
    };
    let keep_alive = if parsed.version == Some(0) {
        says("connection", "keep-alive")
    } else {
        !says("connection", "close")
    };
    let wants_continue = says("expect", "100-continue");
    Ok(Head::Complete {
        request,
        length,
        body,
        keep_alive,
        wants_continue,
    })
}

/// Sends a response by its delivery. Returns `true` if the connection can be used again.
pub(crate) async fn deliver(
    stream: &mut impl Connected,
    response: &FakeResponse,
) -> io::Result<bool> {
    let body = &response.body;
    match response.delivery {
        Delivery::Complete => {
            write_complete(stream, response).await?;
            return finish(stream, response).await;
        }
        Delivery::NeverClose => {
            write_complete(stream, response).await?;
            stream.flush().await?;
            tokio::io::copy(stream, &mut tokio::io::sink()).await?;
        }
        Delivery::WithoutBody => {
            stream
                .write_all(head(response, Framing::Length).as_bytes())
                .await?;
            return finish(stream, response).await;
        }
        Delivery::CloseBeforeHeaders => {}
        Delivery::Reset => stream.reset_at_the_end()?,
        Delivery::CutHeaders => {
            let head = head(response, Framing::Length);
            stream.write_all(&head.as_bytes()[..head.len() / 2]).await?;
        }
        Delivery::CutBody | Delivery::ResetBody => {
            stream
                .write_all(head(response, Framing::Length).as_bytes())
                .await?;
            stream.write_all(&body[..body.len() / 2]).await?;
            if response.delivery == Delivery::ResetBody {
                stream.reset_at_the_end()?;
            }
        }
        Delivery::CutChunk => {
            stream
                .write_all(head(response, Framing::Chunked).as_bytes())
                .await?;
            stream
                .write_all(format!("{:x}\r\n", body.len()).as_bytes())
                .await?;
            stream.write_all(&body[..body.len() / 2]).await?;
        }
        Delivery::Drip { interval } => {
            let head = head(response, Framing::Length);
            for byte in head.as_bytes().iter().chain(body) {
                stream.write_all(std::slice::from_ref(byte)).await?;
                stream.flush().await?;
                if interval.is_zero() {
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(interval).await;
                }
            }
            return finish(stream, response).await;
        }
        Delivery::Endless => {
            stream
                .write_all(head(response, Framing::Chunked).as_bytes())
                .await?;
            stream
                .write_all(format!("{:x}\r\n", body.len()).as_bytes())
                .await?;
            stream.write_all(body).await?;
            let chunk = format!("\r\n{:x}\r\n{}", 16 << 10, " ".repeat(16 << 10));
            loop {
                stream.write_all(chunk.as_bytes()).await?;
                // Other connections make progress even if the client reads as fast as the server
                // writes.
                tokio::task::yield_now().await;
            }
        }
    }
    stream.flush().await?;
    Ok(false)
}

/// Ends the connection in order if it ends with the response. Returns `true` if it can be used
/// again.
async fn finish(stream: &mut impl Connected, response: &FakeResponse) -> io::Result<bool> {
    stream.flush().await?;
    if response.close {
        stream.shutdown().await?;
    }
    Ok(!response.close)
}

async fn write_complete(
    stream: &mut (impl AsyncWrite + Unpin),
    response: &FakeResponse,
) -> io::Result<()> {
    let head = head(response, Framing::Length);
    let mut rest = [IoSlice::new(head.as_bytes()), IoSlice::new(&response.body)];
    let mut rest = rest.as_mut_slice();
    while !rest.is_empty() {
        let written = stream.write_vectored(rest).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

/// The way in which a response says where its body ends.
#[derive(Clone, Copy)]
enum Framing {
    Length,
    Chunked,
}

fn head(response: &FakeResponse, framing: Framing) -> String {
    let mut head = format!(
        "HTTP/1.1 {} {}\r\n",
        response.status,
        reason(response.status)
    );
    for (name, value) in &response.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    match framing {
        // HTTP defines these statuses to have neither a body nor a length.
        Framing::Length if response.status == 204 || response.status == 304 => {}
        Framing::Length => {
            let _ = write!(head, "content-length: {}\r\n", response.body.len());
        }
        Framing::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
    }
    if response.close {
        head.push_str("connection: close\r\n");
    }
    head.push_str("\r\n");
    head
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        // HTTP allows an empty reason, and clients ignore it.
        _ => "",
    }
}
