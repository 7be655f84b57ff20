//! Decompressing a response's body.
//!
//! API calls request gzip, and a server may compress any response. [`inflate`] decompresses for
//! every transport, so a transport only moves bytes. The size limit of a body counts the
//! decompressed bytes while they are made. The limit of the received bytes is the transport's.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Response};

use super::{TransportError, TransportErrorKind};

/// The bytes with which a gzip stream begins. No JSON begins with them.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The body of a response as it came over the network, to be kept for a while.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedBody {
    body: Bytes,
    /// The length of the decompressed body, if this one is compressed.
    inflated_length: Option<usize>,
}

/// The compressed body of a response, in its extensions.
#[derive(Clone, Debug)]
struct Compressed(Bytes);

impl ReceivedBody {
    /// Returns the body of a decompressed response, in the form in which it came.
    pub(crate) fn of(response: &Response<Bytes>) -> Self {
        let inflated = response.body();
        match response.extensions().get() {
            Some(Compressed(body)) => Self {
                body: body.clone(),
                inflated_length: Some(inflated.len()),
            },
            None => Self {
                body: inflated.clone(),
                inflated_length: None,
            },
        }
    }

    /// Returns the number of bytes that the body takes, as it came.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }

    /// Decompresses the body.
    pub(crate) fn inflate(self) -> Result<Bytes, TransportError> {
        match self.inflated_length {
            Some(length) => gunzip(&self.body, length),
            None => Ok(self.body),
        }
    }
}

/// Returns the response with a decompressed body of at most `max_body` bytes, and without the
/// headers that describe the compressed one. A body that was not compressed stays as it is.
///
/// A refusal counts even if its body can't be decompressed. Its status and headers say what to do,
/// and it then has no body.
pub(super) fn inflate(
    response: Response<Bytes>,
    max_body: usize,
) -> Result<Response<Bytes>, TransportError> {
    if !response.headers().contains_key(CONTENT_ENCODING) {
        return Ok(response);
    }
    let (mut head, body) = response.into_parts();
    let decoded = match Coding::of(&head.headers) {
        Coding::Gzip if !body.is_empty() => gunzip(&body, max_body).inspect(|_| {
            head.extensions.insert(Compressed(body));
        }),
        Coding::Gzip | Coding::Identity => Ok(body),
        Coding::Other => Err(TransportError::new(TransportErrorKind::Body)
            .with_detail("its content-encoding is neither gzip nor identity")),
    };
    let body = match decoded {
        Err(_) if !head.status.is_success() => Bytes::new(),
        decoded => decoded?,
    };
    head.headers.remove(CONTENT_ENCODING);
    head.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(head, body))
}

/// The coding that `Content-Encoding` names.
enum Coding {
    Identity,
    Gzip,
    /// A coding that the client doesn't know, or several of them.
    Other,
}

impl Coding {
    fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let mut codings = codings.map(<[u8]>::trim_ascii).filter(|coding| {
            let is_identity = coding.eq_ignore_ascii_case(b"identity");
            !coding.is_empty() && !is_identity
        });
        match (codings.next(), codings.next()) {
            (None, _) => Self::Identity,
            (Some(coding), None) if is_gzip(coding) => Self::Gzip,
            _ => Self::Other,
        }
    }
}

/// Returns `true` for gzip, or for its old name.
fn is_gzip(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip")
}

/// Decompresses a body, which may have several gzip members. The decoder checks the checksum and
/// the length of each.
fn gunzip(body: &[u8], max_body: usize) -> Result<Bytes, TransportError> {
    if !body.starts_with(&GZIP) {
        return Err(TransportError::new(TransportErrorKind::Body).with_detail(
            "its content-encoding is gzip, and it is not: a transport that decompresses a body \
             must remove content-encoding and content-length",
        ));
    }
    let mut decoder = MultiGzDecoder::new(body);
    // With one byte more than the body, the decoder reaches the end of the body before that of the
    // buffer.
    let mut inflated = vec![0; announced(body).min(max_body) + 1];
    let mut length = 0;
    loop {
        match decoder.read(&mut inflated[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) => return Err(damaged(error)),
        }
        if length > max_body {
            return Err(TransportError::new(TransportErrorKind::BodyTooLarge));
        }
        if length == inflated.len() {
            inflated.resize((length * 2).min(max_body + 1), 0);
        }
    }
    inflated.truncate(length);
    Ok(inflated.into())
}

/// Returns the length that the last member claims to have, in bytes. A claim above the real length
/// is an error in the end, so a buffer of this size is never kept for less.
fn announced(body: &[u8]) -> usize {
    body.last_chunk()
        .and_then(|length| usize::try_from(u32::from_le_bytes(*length)).ok())
        .unwrap_or(0)
}

fn damaged(error: io::Error) -> TransportError {
    let detail = match error.kind() {
        io::ErrorKind::UnexpectedEof => "its gzip stream ends too early",
        _ => "its gzip stream is damaged",
    };
    TransportError::with_source(TransportErrorKind::Body, error).with_detail(detail)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::StatusCode;

    use super::*;

    /// The greatest body that the tests accept, in bytes.
    const MAX_BODY: usize = 100_000;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// Returns the digits of this many numbers, which gzip makes a few times smaller.
    fn digits(count: u32) -> Vec<u8> {
        (0..count)
            .flat_map(|n| n.to_string().into_bytes())
            .collect()
    }

    fn response(codings: &[&str], body: impl Into<Bytes>) -> Response<Bytes> {
        let body = body.into();
        let mut response = Response::new(body);
        let length = response.body().len().into();
        response.headers_mut().insert(CONTENT_LENGTH, length);
        for coding in codings {
            let coding = coding.parse().unwrap();
            response.headers_mut().append(CONTENT_ENCODING, coding);
        }
        response
    }

    #[track_caller]
    fn assert_inflates(codings: &[&str], body: impl Into<Bytes>, expected: &[u8]) {
        let inflated = inflate(response(codings, body), MAX_BODY).unwrap();
        assert!(
            *inflated.body() == expected,
            "{} bytes",
            inflated.body().len()
        );
        assert!(inflated.headers().is_empty(), "{:?}", inflated.headers());
    }

    /// Asserts that a body fails with this kind of error and this text.
    #[track_caller]
    fn assert_fails(
        codings: &[&str],
        body: impl Into<Bytes>,
        kind: TransportErrorKind,
        text: &str,
    ) {
        let error = inflate(response(codings, body), MAX_BODY).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    }

    #[test]
    fn gzip_is_inflated_and_its_headers_removed() {
        let plain = digits(10_000);
        for codings in [
            &["gzip"][..],
            &["X-GZIP"],
            &["identity, gzip"],
            &["", "gzip"],
        ] {
            assert_inflates(codings, gzip(&plain), &plain);
        }
        assert_inflates(&["gzip"], gzip(b""), b"");
    }

    #[test]
    fn several_members_are_one_body() {
        let large = digits(10_000);
        let members = [
            gzip(b""),
            gzip(&large),
            gzip(b"x"),
            gzip(&large),
            gzip(b"y"),
        ]
        .concat();
        let plain = [&large, &b"x"[..], &large, b"y"].concat();
        assert_inflates(&["gzip"], members, &plain);
    }

    #[test]
    fn body_without_compression_is_the_same_memory() {
        let plain = Bytes::from(digits(10));
        let untouched = inflate(response(&[], plain.clone()), MAX_BODY).unwrap();
        assert_eq!(untouched.body().as_ptr(), plain.as_ptr());
        assert!(untouched.headers().contains_key(CONTENT_LENGTH));
        let identity = inflate(response(&["identity"], plain.clone()), MAX_BODY).unwrap();
        assert_eq!(identity.body().as_ptr(), plain.as_ptr());
        assert!(identity.headers().is_empty());
    }

    #[test]
    fn body_may_have_the_maximum_length_and_no_more() {
        let too_large = TransportErrorKind::BodyTooLarge;
        let longest = vec![b' '; MAX_BODY];
        assert_inflates(&["gzip"], gzip(&longest), &longest);
        let longer = gzip(&vec![b' '; MAX_BODY + 1]);
        assert_fails(&["gzip"], longer, too_large, "too large");
        let members = [gzip(&longest), gzip(b" ")].concat();
        assert_fails(&["gzip"], members, too_large, "too large");
        let empty = inflate(response(&["gzip"], gzip(b"")), 0).unwrap();
        assert!(empty.body().is_empty());
        assert!(inflate(response(&["gzip"], gzip(b"x")), 0).is_err());
    }

    #[test]
    fn every_cut_of_a_stream_is_an_error() {
        let stream = gzip(&digits(200));
        for length in GZIP.len()..stream.len() {
            let cut = stream[..length].to_vec();
            assert_fails(&["gzip"], cut, TransportErrorKind::Body, "ends too early");
        }
    }

    #[test]
    fn damaged_stream_is_an_error() {
        let stream = gzip(&digits(200));
        // The last eight bytes are the checksum and the length.
        for from_the_end in 1..=8 {
            for bit in 0..8 {
                let mut wrong = stream.clone();
                let at = wrong.len() - from_the_end;
                wrong[at] ^= 1 << bit;
                assert_fails(&["gzip"], wrong, TransportErrorKind::Body, "is damaged");
            }
        }
        for garbage in [&b"garbage after the stream"[..], &[0; 20]] {
            let longer = [&stream, garbage].concat();
            assert_fails(&["gzip"], longer, TransportErrorKind::Body, "is damaged");
        }
    }

    #[test]
    fn body_that_is_not_gzip_names_the_contract() {
        let plain = r#"{"entries":[]}"#;
        let kind = TransportErrorKind::Body;
        assert_fails(&["gzip"], plain, kind, "must remove content-encoding");
    }

    #[test]
    fn unknown_coding_is_an_error() {
        for codings in [&["br"][..], &["deflate"], &["gzip, gzip"], &["gzip", "br"]] {
            let body = gzip(b"{}");
            assert_fails(
                codings,
                body,
                TransportErrorKind::Body,
                "neither gzip nor identity",
            );
        }
    }

    #[test]
    fn refusal_counts_when_its_body_cannot_be_decoded() {
        for (codings, body) in [
            (&["br"][..], gzip(b"{}")),
            (&["gzip"], b"{}".to_vec()),
            (&["gzip"], gzip(&vec![b' '; MAX_BODY + 1])),
        ] {
            let mut refusal = response(codings, body);
            *refusal.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            let refusal = inflate(refusal, MAX_BODY).unwrap();
            assert_eq!(refusal.status(), StatusCode::TOO_MANY_REQUESTS);
            assert!(refusal.body().is_empty());
        }
    }

    #[test]
    fn empty_body_needs_no_gzip_stream() {
        assert_inflates(&["gzip"], "", b"");
    }
}
