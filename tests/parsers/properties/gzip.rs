//! The property of a response that claims to be compressed with gzip.

use std::io::{Read as _, Write as _};

use box_longpoll::protocol::Page;
use box_longpoll::{Error, LongPollClient, StartAt};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use futures_lite::future::block_on;
use http::header::CONTENT_ENCODING;
use http::{HeaderValue, Response};

use super::exchange::client;
use super::shown;

/// The largest page that is accepted, in bytes.
const MAX_PAGE: u64 = 16 * 1024 * 1024;

/// Asserts that a gzip stream is read as the page in it, and that any other body is an error. The
/// data is used twice: as a gzip stream, and as a page that is compressed into one.
pub(crate) fn holds(data: &[u8]) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).expect("a vector takes every byte");
    let stream = encoder.finish().expect("a vector takes every byte");
    assert_eq!(text(fetch(stream, true)), text(fetch(data.to_vec(), false)));

    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(data).take(MAX_PAGE + 1);
    let is_stream = decoder.read_to_end(&mut plain).is_ok();
    let fetched = fetch(data.to_vec(), true);
    if (is_stream && plain.len() as u64 <= MAX_PAGE) || data.is_empty() {
        assert_eq!(text(fetched), text(fetch(plain, false)));
    } else {
        let error = fetched.expect_err("no stream, or one that is too long");
        shown::assert_error(&error);
    }
}

/// Fetches a page whose response has this body.
fn fetch(body: Vec<u8>, is_gzip: bool) -> Result<Page, Error> {
    let mut response = Response::new(body.into());
    if is_gzip {
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(CONTENT_ENCODING, gzip);
    }
    block_on(client(LongPollClient::builder(), &response).fetch(StartAt::Now))
}

/// Returns the text of a page or of an error.
fn text(fetched: Result<Page, Error>) -> String {
    match fetched {
        Ok(page) => format!("{page:?}"),
        Err(error) => {
            shown::assert_error(&error);
            error.display_chain().to_string()
        }
    }
}
