//! An enterprise's events: live ones, and those of the past 365 days.
//!
//! Box has no long poll for these events. A client that
//! [`LongPollClient::enterprise`](crate::LongPollClient::enterprise) derives therefore fetches live
//! events at an interval. An [`AdminLogsQuery`], made by
//! [`LongPollClient::admin_logs`](crate::LongPollClient::admin_logs), reads past events and then
//! ends. Start with one of these two methods; [`AdminLogsStreaming`] and [`AdminLogs`] have their
//! settings.

pub use crate::client::{AdminLogsQuery, Audit, MissingEvents};
pub use crate::config::admin_logs::{AdminLogs, AdminLogsStreaming};
pub use crate::status::HistoryProgress;
