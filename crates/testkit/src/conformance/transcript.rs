//! A transcript of what the servers of a case did, for the message of a failed case.
//!
//! The author of a transport sees there which bytes a server read and wrote, in order. The
//! transcript judges nothing. Start from [`Transcript`] and [`Recorder::record`].

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The greatest number of acts that a message lists. A case with two hundred connections has more,
/// and they are alike.
const MAX_ACTS: usize = 30;

/// The greatest number of bytes that a message shows of one write.
const MAX_SHOWN: usize = 80;

/// The acts of all servers of a case, in the order in which they happened. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Transcript {
    acts: Arc<Mutex<Vec<(ConnectionId, Act)>>>,
    servers: Arc<AtomicUsize>,
}

/// The writer of one connection's acts into a transcript.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    transcript: Transcript,
    id: ConnectionId,
}

/// A connection of a server. Both numbers start at 1, as the message shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ConnectionId {
    server: usize,
    connection: usize,
}

/// An action or observation of a server on a connection.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Accepted,
    /// A complete request was read, with this request line.
    Read(String),
    /// No complete request arrived: the client ended the connection, or sent something other than
    /// HTTP.
    ReadNothing,
    Wrote {
        /// The first bytes, [`MAX_SHOWN`] at most.
        first: Vec<u8>,
        /// The number of all bytes.
        bytes: usize,
    },
    /// The client no longer took all of the server's bytes.
    CouldNotWrite,
    Reset,
    Closed,
    /// The server sent a FIN, because the script cut the connection or has ended.
    EndedItsSide,
}

impl Act {
    pub(super) fn wrote(bytes: &[u8]) -> Self {
        Self::Wrote {
            first: bytes[..bytes.len().min(MAX_SHOWN)].into(),
            bytes: bytes.len(),
        }
    }
}

impl Transcript {
    /// Adds a server and returns its number, from 1.
    pub(super) fn add_server(&self) -> usize {
        self.servers.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Returns the recorder of a connection. `connection` counts from 0.
    pub(super) fn of_connection(&self, server: usize, connection: usize) -> Recorder {
        let connection = connection + 1;
        Recorder {
            transcript: self.clone(),
            id: ConnectionId { server, connection },
        }
    }
}

impl Recorder {
    pub(super) fn record(&self, act: Act) {
        let acts = &self.transcript.acts;
        let mut acts = acts.lock().unwrap_or_else(PoisonError::into_inner);
        let last = acts.last_mut().filter(|(id, _)| *id == self.id);
        match (last, act) {
            // A body that is written in pieces is one act.
            (
                Some((_, Act::Wrote { first, bytes })),
                Act::Wrote {
                    first: more,
                    bytes: added,
                },
            ) => {
                let room = MAX_SHOWN.saturating_sub(first.len());
                first.extend_from_slice(&more[..more.len().min(room)]);
                *bytes += added;
            }
            // If a script cuts the connection, the FIN after its end is no second act.
            (Some((_, Act::EndedItsSide)), Act::EndedItsSide) => {}
            (_, act) => acts.push((self.id, act)),
        }
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let acts = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
        if acts.is_empty() {
            return f.write_str("  no server got a connection");
        }
        let one_server = self.servers.load(Ordering::SeqCst) == 1;
        for (n, (ConnectionId { server, connection }, act)) in
            acts.iter().take(MAX_ACTS).enumerate()
        {
            f.write_str(if n == 0 { "  " } else { "\n  " })?;
            if !one_server {
                write!(f, "server {server}, ")?;
            }
            write!(f, "connection {connection}: {act}")?;
        }
        if acts.len() > MAX_ACTS {
            write!(f, "\n  and {} more", acts.len() - MAX_ACTS)?;
        }
        Ok(())
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepted it"),
            Self::Read(line) => write!(f, "read \"{}\"", line.escape_debug()),
            Self::ReadNothing => f.write_str("got no further request"),
            Self::Wrote { first, bytes } if first.len() < *bytes => {
                write!(
                    f,
                    "wrote \"{}\" and so on, {bytes} bytes",
                    first.escape_ascii()
                )
            }
            Self::Wrote { first, .. } => write!(f, "wrote \"{}\"", first.escape_ascii()),
            Self::CouldNotWrite => f.write_str("could write no more"),
            Self::Reset => f.write_str("reset it"),
            Self::Closed => f.write_str("closed it"),
            Self::EndedItsSide => f.write_str("ended its side"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_lists_acts_in_order() {
        let transcript = Transcript::default();
        assert_eq!(transcript.to_string(), "  no server got a connection");
        let server = transcript.add_server();
        let [first, second] = [0, 1].map(|n| transcript.of_connection(server, n));
        first.record(Act::Accepted);
        first.record(Act::wrote(b"HTTP/1.1 "));
        first.record(Act::wrote(b"200\r\n"));
        second.record(Act::Read("GET / HTTP/1.1".into()));
        first.record(Act::wrote(&[b'x'; 100]));
        let long = "x".repeat(MAX_SHOWN);
        assert_eq!(
            transcript.to_string(),
            format!(
                "  connection 1: accepted it\n  connection 1: wrote \"HTTP/1.1 200\\r\\n\"\n  \
                 connection 2: read \"GET / HTTP/1.1\"\n  \
                 connection 1: wrote \"{long}\" and so on, 100 bytes"
            )
        );
        transcript.add_server();
        let shown = transcript.to_string();
        assert!(shown.starts_with("  server 1, connection 1: accepted it"));
    }

    #[test]
    fn a_long_transcript_is_shortened() {
        let transcript = Transcript::default();
        let recorder = transcript.of_connection(transcript.add_server(), 0);
        for _ in 0..100 {
            recorder.record(Act::Reset);
        }
        assert!(transcript.to_string().ends_with("\n  and 70 more"));
    }
}
