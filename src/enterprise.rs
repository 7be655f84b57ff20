//! An enterprise's events: live ones, and those of the past 365 days.
//!
//! Box has no long poll for these events. A client that
//! [`LongPollClient::enterprise`](crate::LongPollClient::enterprise) derives therefore fetches live
//! events at an interval. It can begin with past events, as described below. An [`AdminLogsQuery`]
//! from [`LongPollClient::admin_logs`](crate::LongPollClient::admin_logs) reads past events and
//! then ends. An [`Audit`] from [`LongPollClient::audit`](crate::LongPollClient::audit) finds past
//! events that your records lack. Start with one of these three methods; [`AdminLogsStreaming`] and
//! [`AdminLogs`] have their settings.
#![doc = include_str!("enterprise/history.md")]

pub use crate::client::{AdminLogsQuery, Audit, MissingEvents};
pub use crate::config::admin_logs::{AdminLogs, AdminLogsStreaming};
pub use crate::status::HistoryProgress;
