//! The signal at the end of a poll, decoded.
//!
//! This module reads the message alone. The listener decides what follows it. The type to start
//! from is [`Signal`].

use serde::Deserialize;

use crate::json;

/// The message of a realtime server at the end of a poll.
///
/// See <https://developer.box.com/guides/events/user-events/polling/>.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// `new_change`: something happened. Fetch events.
    NewChange,
    /// `reconnect`: nothing happened for a while. List the servers again.
    Reconnect,
    /// `max_retries`: the URL is used up. List the servers again.
    MaxRetries,
    /// A message that Box does not document, as it was received. It is a server's text: escape it
    /// before you show it.
    Other(String),
}

#[derive(Deserialize)]
struct SignalWire {
    message: String,
}

impl Signal {
    /// Decodes a body. Returns `None` if it is not a signal.
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
    fn signal_is_read_with_and_without_a_version() {
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
