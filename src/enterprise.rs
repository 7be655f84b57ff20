//! The events of an enterprise: as they happen, and of its past.
//!
//! Box has no long poll for them, so [`EnterpriseClient`] fetches at an interval. [`AdminLogsQuery`] reads the last 365 days
//! and comes to an end. Start at [`LongPollClient::enterprise`](crate::LongPollClient::enterprise) or
//! [`LongPollClient::admin_logs`](crate::LongPollClient::admin_logs).

pub use crate::client::{AdminLogsQuery, EnterpriseClient};
pub use crate::config::admin_logs::{AdminLogs, AdminLogsStreaming};
