//! The signal at the end of a poll.

use serde::Deserialize;

use crate::json;

/// The message of a realtime server at the end of a poll.
///
/// See <https://developer.box.com/guides/events/user-events/polling/>.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Something happened: fetch.
    NewChange,
    /// Nothing happened for a while: list the servers again.
    Reconnect,
    /// The URL is used up: list the servers again.
    MaxRetries,
    /// Something that Box doesn't document, as it came. It is a server's text: escape it before you show it.
    Other(String),
}

#[derive(Deserialize)]
struct SignalWire {
    message: String,
}

impl Signal {
    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let wire: SignalWire = serde_json::from_slice(json::object(body)?).ok()?;
        Some(match &*wire.message {
            "new_change" => Signal::NewChange,
            "reconnect" => Signal::Reconnect,
            "max_retries" => Signal::MaxRetries,
            _ => Signal::Other(wire.message),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_with_and_without_a_version() {
        assert_eq!(
            Signal::decode(br#"{"version":1,"message":"new_change"}"#),
            Some(Signal::NewChange)
        );
        assert_eq!(
            Signal::decode(br#" {"message":"reconnect"}"#),
            Some(Signal::Reconnect)
        );
        assert_eq!(
            Signal::decode(br#"{"message":"max_retries"}"#),
            Some(Signal::MaxRetries)
        );
        assert_eq!(
            Signal::decode(br#"{"message":"x"}"#),
            Some(Signal::Other("x".into()))
        );
        for garbage in ["", "<html>", "[\"new_change\"]", "{\"message\":1}", "{"] {
            assert_eq!(Signal::decode(garbage.as_bytes()), None, "{garbage}");
        }
    }
}
