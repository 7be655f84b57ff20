//! The three requests of Box's long-poll protocol, by name.
//!
//! The engine in [`protocol`](crate::protocol) decides which [`Call`] is due, and
//! [`telemetry`](crate::telemetry) counts them.

/// One of the engine's three requests. At most one fetch, and one list or poll, are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `OPTIONS /events`, which lists the realtime servers. It counts against Box's API limits.
    List,
    /// `GET` of a realtime server: a long poll, which the server holds until something happens. It
    /// does not count against Box's API limits.
    Listen,
    /// `GET /events`, which fetches a page of events. It counts against Box's API limits.
    Fetch,
}

impl Call {
    /// Returns the name of the call in logs and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Listen => "listen",
            Self::Fetch => "fetch",
        }
    }
}
