// The README's program is over reqwest, and is compiled as a test.
#![cfg_attr(feature = "reqwest", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "reqwest"),
    doc = "Follow a Box account's events over the HTTP stack you already use, and never miss one."
)]

mod api;
pub mod auth;
mod batch;
#[cfg(feature = "blocking")]
pub mod blocking;
mod checkpoint;
mod client;
mod clock;
mod config;
mod dedup;
mod error;
pub mod event;
mod hosts;
mod json;
mod limiter;
mod pacing;
mod position;
pub mod protocol;
#[cfg(doc)]
pub mod proxy;
mod redact;
#[cfg(doc)]
pub mod reliability;
mod single_flight;
mod status;
mod stream;
mod subscription;
mod sys;
pub mod transport;
#[path = "../transports/mod.rs"]
pub mod transports;

pub use auth::{AccessToken, TokenError, TokenFn, TokenSource, token_fn};
pub use batch::Batch;
pub use checkpoint::{Checkpoint, CheckpointError, CheckpointFile, CheckpointStore};
pub use client::{AdminLogsQuery, EnterpriseClient, LongPollClient};
pub use config::{AdminLogs, AdminLogsStreaming, LongPollClientBuilder, RealtimeToken, StreamType};
pub use error::{Error, ErrorKind};
pub use event::{Event, EventType, Source};
pub use hosts::RealtimeHosts;
pub use pacing::{Pace, RetryPolicy};
pub use position::{StartAt, StreamPosition};
pub use protocol::{Page, RealtimeServer, Signal};
pub use status::Status;
pub use stream::{BatchStream, EventStream, StreamHandle, StreamMap};
pub use subscription::{Delivery, PossibleGap, Subscription, Update};
pub use transport::{HttpTransport, Moment, TransportError, TransportErrorKind, TransportRequest};
