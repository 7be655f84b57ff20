#![doc = include_str!("monitoring/health.md")]
#![doc = include_str!("monitoring/log.md")]
#![doc = include_str!("monitoring/metrics.md")]

pub use crate::telemetry::{Requests, Statistics, Wait, WaitCause};
