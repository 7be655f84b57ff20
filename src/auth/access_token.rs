//! A token, as Box gave it.

use std::fmt;

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::redact::without_secret;

/// A Box access token. It is never shown: `Debug` hides it, it has no `Display`, and where a server's text repeats it, it
/// is taken out (a token of 8 characters or more: shorter ones are made up, for tests).
///
/// Its memory is zeroed when the last clone is dropped; what an HTTP library copies of it is that library's.
///
/// As a [`TokenSource`](crate::TokenSource) it is a fixed token, which lives 60 minutes, a developer's or a
/// [downscoped](https://developer.box.com/guides/authentication/tokens/downscope/) one for instance; the stream stops with
/// [`ErrorKind::Unauthorized`](crate::ErrorKind::Unauthorized) when Box no longer takes it. [`auth`](crate::auth) has those that are renewed.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(HeaderValue);

const SCHEME: &str = "Bearer ";

impl AccessToken {
    /// Takes a token as Box gave it, without the word `Bearer`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when the text is empty or has anything but visible ASCII: such a header can't be sent.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
        let text = text.as_ref();
        let refused = if text.is_empty() {
            "it is empty"
        } else if text.starts_with("Bearer ") {
            "leave out the word Bearer"
        } else if text.contains(char::is_whitespace) {
            "it has white space in it, or a line break at its end"
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            "it has characters other than visible ASCII"
        } else {
            return Ok(Self::of_visible_ascii(text));
        };
        Err(Error::config(format!("not an access token: {refused}")))
    }

    fn of_visible_ascii(text: &str) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(SCHEME.len() + text.len()));
        bytes.extend_from_slice(SCHEME.as_bytes());
        bytes.extend_from_slice(text.as_bytes());
        let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes))
            .expect("visible ASCII is a header value");
        header.set_sensitive(true);
        Self(header)
    }

    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }

    pub(crate) fn text(&self) -> &str {
        let header = self.0.to_str().expect("visible ASCII is text");
        &header[SCHEME.len()..]
    }

    /// Takes the token out of text that came from a server, which may echo it.
    pub(crate) fn scrub(&self, text: &str) -> String {
        without_secret(text, self.text(), "[access token]")
    }

    /// Where the beginning of the token stands at the end of text that was cut, or else where the text ends.
    pub(crate) fn start_of_part_in(&self, text: &str) -> usize {
        let token = self.text();
        let part = (1..token.len())
            .rev()
            .find(|length| text.ends_with(&token[..*length]));
        text.len() - part.unwrap_or(0)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_any_kind_is_taken_as_it_stands() {
        // A usual one, and a downscoped one.
        for text in [
            "T9cE5asGnuyYCCqIZFoWjFHvNbvVqHjl",
            "1!DgsZ6V9kMWZu2StrxwQDF5BudQNen-xUmU2cfcVKArE..._w",
        ] {
            let token = AccessToken::new(text).unwrap();
            assert_eq!(token.text(), text);
            assert_eq!(token.header(), &format!("Bearer {text}"));
            assert!(token.header().is_sensitive());
        }
    }
}
