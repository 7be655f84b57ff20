// docs.rs shows beside each item which Cargo feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
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
pub mod checkpoint;
mod client;
mod clock;
pub mod config;
mod dedup;
pub mod enterprise;
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

pub use auth::access_token::AccessToken;
pub use auth::token_source::TokenSource;
pub use batch::Batch;
pub use client::LongPollClient;
pub use config::builder::LongPollClientBuilder;
pub use error::{Error, ErrorKind};
pub use event::envelope::Event;
pub use event::event_type::EventType;
pub use position::{StartAt, StreamPosition};
pub use status::Status;
pub use stream::{BatchStream, EventStream, StreamHandle, StreamMap};
pub use subscription::{Delivery, PossibleGap, Progress, Subscription, Update};
pub use transport::contract::HttpTransport;
