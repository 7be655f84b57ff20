//! A request as a server read it, without the normalization of an HTTP library.
//!
//! The cases compare it with what the transport was given to send. It reads only bodies with a
//! `content-length`. Start from [`CapturedRequest::read`].

use std::io::{self, BufRead};

/// A request, byte for byte as a server read it.
#[derive(Clone, Debug)]
pub(super) struct CapturedRequest {
    /// The request line: method, target and version.
    pub(super) line: String,
    /// The headers in order: names in lower case, values without surrounding whitespace.
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl CapturedRequest {
    /// Reads a request. Returns `None` if the connection ended inside its head.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(line) = read_line(from)? else {
            return Ok(None);
        };
        let mut headers = Vec::new();
        loop {
            match read_line(from)? {
                None => return Ok(None),
                Some(line) if line.is_empty() => break,
                Some(line) => headers.push(header(&line)),
            }
        }
        let mut received = Self {
            line: String::from_utf8_lossy(&line).into_owned(),
            headers,
            body: Vec::new(),
        };
        let length = received.header("content-length").map_or(Ok(0), str::parse);
        received.body = vec![0; length.map_err(io::Error::other)?];
        from.read_exact(&mut received.body)?;
        Ok(Some(received))
    }

    /// Returns the first value of this header, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.iter().find(|(known, _)| known == name);
        value.and_then(|(_, value)| str::from_utf8(value).ok())
    }

    /// Returns all values of this header, in order.
    pub(super) fn header_values(&self, name: &str) -> Vec<&[u8]> {
        let of_name = self.headers.iter().filter(|(known, _)| known == name);
        of_name.map(|(_, value)| value.as_slice()).collect()
    }

    /// Returns the request target, between the method and the version.
    pub(super) fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    Ok(line.strip_suffix(b"\r\n").map(<[u8]>::to_vec))
}

fn header(line: &[u8]) -> (String, Vec<u8>) {
    let colon = line.iter().position(|&byte| byte == b':');
    let (name, value) = line.split_at(colon.unwrap_or(line.len()));
    let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
    (String::from_utf8_lossy(name).to_lowercase(), value.to_vec())
}
