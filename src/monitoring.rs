//! The numbers of a stream, for health checks and dashboards.

pub use crate::telemetry::{Requests, Statistics, Wait, WaitCause};
