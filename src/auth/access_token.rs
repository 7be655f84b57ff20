//! An access token.
//!
//! [`AccessToken`] keeps the token out of `Debug`, errors, logs and freed memory. It does not know
//! when the token expires.

use std::fmt;

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::redact::without_secret;

/// A Box access token.
///
/// The token is never shown: `Debug` hides it, and there is no `Display`. If a server's text
/// repeats the token, the client removes it from the text, if the token has at least 8 characters.
/// Box's tokens are longer.
///
/// The token's memory is zeroed when the last clone is dropped. The client can't zero the copies
/// that an HTTP library makes.
///
/// As a [`TokenSource`](crate::TokenSource), it is a fixed token that lives 60 minutes, such as a
/// developer token or a
/// [downscoped](https://developer.box.com/guides/authentication/tokens/downscope/) token. When Box
/// no longer accepts it, the stream stops with
/// [`ErrorKind::Unauthorized`](crate::ErrorKind::Unauthorized). The [`auth`](crate::auth) module
/// has sources that refresh their tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(HeaderValue);

const SCHEME: &str = "Bearer ";

impl AccessToken {
    /// Creates a token from its text, without the word `Bearer`.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Config`](crate::ErrorKind::Config) if the text is empty, begins with
    /// `Bearer`, or has characters other than visible ASCII, which the `Authorization` header can't
    /// carry.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
        let text = text.as_ref();
        let refused = if text.is_empty() {
            "it is empty"
        } else if text.starts_with("Bearer ") {
            "leave out the word Bearer"
        } else if text.contains(char::is_whitespace) {
            "it contains white space, perhaps a line break at its end"
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            "it has characters other than visible ASCII"
        } else {
            return Ok(Self::of_visible_ascii(text));
        };
        Err(Error::config(format!("not an access token: {refused}")))
    }

    /// Creates a token from visible ASCII. The buffer has its full capacity from the start, because
    /// a buffer that grows leaves copies of the token behind.
    fn of_visible_ascii(text: &str) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(SCHEME.len() + text.len()));
        bytes.extend_from_slice(SCHEME.as_bytes());
        bytes.extend_from_slice(text.as_bytes());
        let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes))
            .expect("visible ASCII is a header value");
        header.set_sensitive(true);
        Self(header)
    }

    /// Returns the value of the `Authorization` header.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// Returns the token without the word `Bearer`.
    pub(crate) fn text(&self) -> &str {
        let header = self.0.to_str().expect("visible ASCII is text");
        &header[SCHEME.len()..]
    }

    /// Removes the token from a server's text, which may echo it.
    pub(crate) fn scrub(&self, text: &str) -> String {
        without_secret(text, self.text(), "[access token]")
    }

    /// Returns the offset of a partial token at the end of a text that was cut. Without a partial
    /// token, it is the length of the text.
    pub(crate) fn partial_token_offset(&self, text: &str) -> usize {
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

    /// A usual token and a downscoped one become the header unchanged, and the header is sensitive.
    #[test]
    fn token_of_any_kind_is_sent_unchanged() {
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
