//! Follows a Box account's events over the HTTP library you already use, and never misses one.
//!
//! Box reports changes by [long polling]: a request to a realtime server is held open until
//! something changes in the account, and a second request fetches the events. This crate runs that
//! protocol for you. It lists the servers, polls, fetches, retries, refreshes tokens, skips
//! repeats, and resumes where your program stopped. It uses the HTTP library that you bring, or one
//! of [`transports`]. It does not cover the rest of Box's API.
//!
//! [long polling]: https://developer.box.com/guides/events/user-events/polling/
//!
//! # A program that loses nothing
//!
//! ```no_run
//! # #[cfg(feature = "reqwest")]
//! # mod program {
//! use box_longpoll::checkpoint::CheckpointFile;
//! use box_longpoll::transports::ReqwestTransport;
//! use box_longpoll::{AccessToken, LongPollClient, StartAt, Update};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let token = AccessToken::new(std::env::var("BOX_ACCESS_TOKEN")?)?;
//!     let client = LongPollClient::new(ReqwestTransport::new()?, token);
//!     let store = CheckpointFile::open("events.checkpoint")?;
//!     let mut updates = client.subscribe(store, "my account", StartAt::Now);
//!     while let Some(update) = updates.next().await {
//!         match update? {
//!             Update::Batch(batch) => {
//!                 for event in &batch {
//!                     let user = event.created_by().and_then(|user| user.name);
//!                     println!("{user:?}: {:?} {:?}", event.event_type(), event.source_name());
//!                 }
//!                 batch.ack().await?;
//!             }
//!             Update::PossibleGap(gap) => eprintln!("{gap}"),
//!             Update::Started(_) | Update::Moved(_) => {}
//!         }
//!     }
//!     Ok(())
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! You can kill this program at any moment. When it starts again, it delivers all events since the
//! last acknowledged batch. The checkpoint has the ids of the latest events, so that repeats are
//! skipped. A batch whose acknowledgement was not stored yet is delivered again.
//!
//! # Three ways to read
//!
//! | method | delivers | choose it if |
//! |---|---|---|
//! | [`events`](LongPollClient::events) | one event at a time | the program only cares about events while it runs |
//! | [`batches`](LongPollClient::batches) | the events of a page | the program stores [`resume_at`](Batch::resume_at) itself, and can handle a page again |
//! | [`subscribe`](LongPollClient::subscribe) | batches that you acknowledge | the program must not miss an event, however often it restarts |
//!
//! If the events' effects go into a database of yours,
//! [`subscribe_from`](LongPollClient::subscribe_from) lets you store the checkpoint in the same
//! transaction: each event then has its effect exactly once.
//!
//! All of them return [`Stream`](futures_core::Stream)s, which end only after an error or when you
//! stop them. They retry transient failures themselves; the error of a permanent failure is the
//! last item. A stream's [`StreamHandle`] shows its [`Status`] and stops it.
//!
//! # Modules
//!
//! - [`auth`]: tokens, and the grants that refresh them.
//! - [`checkpoint`]: the checkpoints that subscriptions resume from, and their stores.
//! - [`config`]: the types that the settings of [`LongPollClientBuilder`] take.
//! - [`enterprise`]: an enterprise's events: live ones, and those of the past 365 days.
//! - [`event`]: an event's parts as types, which accept values that Box does not document.
//!   [`Event`] also has the exact JSON text.
//! - [`transport`]: the contract of [`HttpTransport`], for an HTTP library of your own.
//! - [`transports`]: the transports over reqwest, isahc and surf, each behind a Cargo feature.
//! - `blocking` (feature `blocking`): the client for programs without async.
//! - [`protocol`]: the engine without I/O.
//! - [`reliability`]: the promises, and the fault that each test injects.
//! - [`proxy`]: the settings that work behind a proxy.
//! - [`monitoring`]: the log, the numbers and the metrics of a stream, and a health check.

// docs.rs shows the Cargo feature that each item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod api;
pub mod auth;
mod batch;
#[cfg(feature = "blocking")]
pub mod blocking;
mod call;
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
pub mod monitoring;
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
mod telemetry;
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

/// Compiles the README's programs.
#[cfg(all(doctest, feature = "reqwest"))]
#[doc = include_str!("../README.md")]
struct Readme;
