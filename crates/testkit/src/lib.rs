//! An emulator of Box's events API, for tests of programs that follow the events of a Box account.
//!
//! [`EmulatorServer`] is an HTTP server on a loopback port, so clients need no changes.
//! [`Emulator`] is its core, without a network and without a clock, for simulations. [`Settings`]
//! define how an account behaves, and a [`Fault`] makes one request go wrong. The program
//! `box-emulator` runs the server by itself and is controlled over HTTP.
//!
//! The module [`conformance`] is independent of the emulator: it tests HTTP transports of
//! `box-longpoll`.
//!
//! This crate is not affiliated with Box. Its behavior follows Box's public documentation and the
//! public code of Box's SDKs.

// docs.rs shows for each item which Cargo feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod account;
mod application;
mod assertion;
mod chronology;
#[cfg(feature = "cli")]
pub mod cli;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod connection;
mod content;
mod control;
mod counters;
mod emulator;
mod event;
mod events_api;
mod fault;
mod fault_responses;
mod gzip;
#[cfg(feature = "jwt")]
mod jws;
#[cfg(not(feature = "jwt"))]
#[path = "no_jws.rs"]
mod jws;
mod limits;
mod line;
mod page_query;
mod past;
mod realtime;
mod request;
mod request_log;
mod response;
mod server;
mod session;
mod settings;
mod stream_type;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod token_api;
mod tokens;
mod wire;

pub use application::{Application, Grant};
pub use counters::{Counters, RequestCounters};
pub use emulator::{Config, Emulator};
pub use fault::Fault;
pub use past::PastEvents;
pub use request::{Endpoint, Request};
pub use request_log::{Outcome, RequestRecord};
pub use response::{Delivery, FakeResponse, HoldId, Reply};
pub use server::{EmulatorGuard, EmulatorServer};
pub use settings::{AdminLogsOrder, Edge, PollPosition, Settings, Spelling};

/// The README, whose example is compiled and run as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
