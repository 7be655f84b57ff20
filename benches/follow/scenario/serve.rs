//! The speed of the emulator: the events per second that it serves to a client that parses nothing.
//!
//! It is the upper limit of the speed of catching up. Start from [`measure`].

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use super::catch_up::ACCOUNT;
use crate::measure::{as_f64, now_ns, seconds};

/// Returns the events per second.
pub(crate) fn measure(origin: &str, events: usize) -> Result<f64, String> {
    let began = now_ns();
    drain(origin, events).map_err(|error| error.to_string())?;
    Ok(as_f64(events as u64) / seconds(now_ns() - began))
}

/// Reads the log page by page, without parsing its events.
fn drain(origin: &str, events: usize) -> std::io::Result<()> {
    let address = origin.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut responses = BufReader::with_capacity(256 << 10, stream.try_clone()?);
    let (mut position, mut line) = ("0".to_owned(), String::new());
    for _ in 0..events.div_ceil(500) {
        write!(
            stream,
            "GET /2.0/events?stream_position={position}&limit=500 HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {ACCOUNT}\r\n\r\n"
        )?;
        let mut length = 0;
        loop {
            line.clear();
            responses.read_line(&mut line)?;
            if line.trim_end().is_empty() {
                break;
            }
            if let Some(("content-length", value)) = line.trim_end().split_once(": ") {
                length = value.parse().unwrap_or(0);
            }
        }
        position = position_of(responses.fill_buf()?);
        std::io::copy(&mut responses.by_ref().take(length), &mut std::io::sink())?;
    }
    Ok(())
}

/// Returns the next position, which is before the page's events.
fn position_of(body: &[u8]) -> String {
    let begin = String::from_utf8_lossy(&body[..body.len().min(128)]);
    let after = begin.split_once("next_stream_position\":\"");
    let position = after.and_then(|(_, rest)| rest.split('"').next());
    position.unwrap_or("0").to_owned()
}
