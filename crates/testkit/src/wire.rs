use std::fmt::Write as _;
use std::io::{self, IoSlice};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::limits::{MAX_HEAD_BYTES, MAX_HEADERS};
use crate::{Answer, Delivery, Request};

/// What a buffer begins with.
pub(crate) enum Head {
    /// Occurs when there is more to come.
    Incomplete,
    /// Occurs when all headers are there.
    Complete {
        request: Request,
        /// The head's own bytes, up to the body.
        length: usize,
        /// The bytes of the body, as the request announces them.
        body: u64,
        keep_alive: bool,
        wants_continue: bool,
    },
}

/// Reads a request's head. The error is the status to refuse it with.
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
        // Only forms and what controls the emulator have a body, and their clients know its length.
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

/// Sends an answer in its way. Returns whether the connection can be used again.
pub(crate) async fn deliver(stream: &mut TcpStream, answer: &Answer) -> io::Result<bool> {
    let body = &answer.body;
    match answer.delivery {
        Delivery::Whole => {
            write_whole(stream, answer).await?;
            return Ok(!answer.close);
        }
        Delivery::NeverClose => {
            write_whole(stream, answer).await?;
            tokio::io::copy(stream, &mut tokio::io::sink()).await?;
        }
        Delivery::WithoutBody => {
            stream
                .write_all(head(answer, Framing::Length).as_bytes())
                .await?;
            return Ok(!answer.close);
        }
        Delivery::CloseBeforeHeaders => {}
        Delivery::Reset => stream.set_zero_linger()?,
        Delivery::CutHeaders => {
            let head = head(answer, Framing::Length);
            stream.write_all(&head.as_bytes()[..head.len() / 2]).await?;
        }
        Delivery::CutBody | Delivery::ResetBody => {
            stream
                .write_all(head(answer, Framing::Length).as_bytes())
                .await?;
            stream.write_all(&body[..body.len() / 2]).await?;
            if answer.delivery == Delivery::ResetBody {
                stream.set_zero_linger()?;
            }
        }
        Delivery::CutChunk => {
            stream
                .write_all(head(answer, Framing::Chunked).as_bytes())
                .await?;
            stream
                .write_all(format!("{:x}\r\n", body.len()).as_bytes())
                .await?;
            stream.write_all(&body[..body.len() / 2]).await?;
        }
        Delivery::Drip { interval } => {
            let head = head(answer, Framing::Length);
            for byte in head.as_bytes().iter().chain(body) {
                stream.write_all(std::slice::from_ref(byte)).await?;
                if interval.is_zero() {
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(interval).await;
                }
            }
            return Ok(!answer.close);
        }
        Delivery::Endless => {
            stream
                .write_all(head(answer, Framing::Chunked).as_bytes())
                .await?;
            stream
                .write_all(format!("{:x}\r\n", body.len()).as_bytes())
                .await?;
            stream.write_all(body).await?;
            let chunk = format!("\r\n{:x}\r\n{}", 16 << 10, " ".repeat(16 << 10));
            loop {
                stream.write_all(chunk.as_bytes()).await?;
                // A client that reads as fast as it can leaves others their turn.
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(false)
}

async fn write_whole(stream: &mut TcpStream, answer: &Answer) -> io::Result<()> {
    let head = head(answer, Framing::Length);
    let mut rest = [IoSlice::new(head.as_bytes()), IoSlice::new(&answer.body)];
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

#[derive(Clone, Copy)]
enum Framing {
    Length,
    Chunked,
}

fn head(answer: &Answer, framing: Framing) -> String {
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
    for (name, value) in &answer.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    match framing {
        // By definition these have no body, nor a length.
        Framing::Length if answer.status == 204 || answer.status == 304 => {}
        Framing::Length => {
            let _ = write!(head, "content-length: {}\r\n", answer.body.len());
        }
        Framing::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
    }
    if answer.close {
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
        // A reason may be empty, and nobody reads it.
        _ => "",
    }
}
