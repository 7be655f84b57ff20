//! The events of an enterprise: as they happen, and of its past.
//!
//! Box has no long poll for them, so a client that [`LongPollClient::enterprise`](crate::LongPollClient::enterprise) makes
//! fetches at an interval. An [`AdminLogsQuery`], made by
//! [`LongPollClient::admin_logs`](crate::LongPollClient::admin_logs), reads the last 365 days and comes to an end.

pub use crate::client::AdminLogsQuery;
pub use crate::config::admin_logs::{AdminLogs, AdminLogsStreaming};
