//! Box's events API, faked: for tests of whatever follows an account's events.
//!
//! [`EmulatorServer`] is an HTTP server on a loopback port, for clients as they are. [`Emulator`] is the same without a
//! network and without a clock, for simulations. [`Settings`] say how the account behaves, and a [`Fault`] is something
//! that goes wrong with one request. The `box-emulator` program is the server by itself, controlled over HTTP.
//!
//! [`conformance`] is another matter: the tests that an HTTP transport of `box-longpoll` has to pass.
//!
//! It is not affiliated with Box. Its behaviour follows Box's public documentation and the public code of Box's SDKs.

// docs.rs shows beside each item which Cargo feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod account;
mod answer;
mod application;
mod assertion;
mod calendar;
#[cfg(feature = "conformance")]
pub mod conformance;
mod connection;
mod control;
mod counters;
mod emulator;
mod event;
mod events_api;
mod failing;
mod fault;
mod journal;
#[cfg(feature = "jwt")]
mod jws;
#[cfg(not(feature = "jwt"))]
#[path = "no_jws.rs"]
mod jws;
mod limits;
mod realtime;
mod request;
mod server;
mod session;
mod settings;
mod stream_type;
mod token_api;
mod tokens;
mod wire;

pub use answer::{Answer, Delivery, HoldId, Reply};
pub use application::{Application, Grant};
pub use counters::{Counters, RequestCounters};
pub use emulator::{Config, Emulator};
pub use fault::Fault;
pub use journal::{Outcome, RequestRecord};
pub use request::{Endpoint, Request};
pub use server::{EmulatorGuard, EmulatorServer};
pub use settings::{PollPosition, Settings, Spelling};

/// The README's example is compiled and run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
