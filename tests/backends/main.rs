//! The client over each backend, with its async and its blocking facade.
//!
//! The conformance suite of the transports is in the same program: both wait most of the time, so
//! that they can wait at the same time. Start at `trial`, which drives a stream through a fault.

#![cfg(all(
    feature = "blocking",
    any(feature = "reqwest", feature = "surf", feature = "isahc")
))]

mod aged_connections;
mod backend;
mod blocking;
mod clocks;
mod compression;
#[path = "../conformance/mod.rs"]
mod conformance;
#[cfg(target_os = "linux")]
mod cutting_proxy;
mod dead_network;
#[cfg(feature = "reqwest")]
mod driving;
mod dropped_futures;
mod dropping;
mod enterprise;
mod executors;
#[path = "../client/fake_box.rs"]
mod fake_box;
mod faults;
mod follower;
mod gate;
mod http;
mod idle_consumers;
mod kept_connections;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod open_files;
mod overlap;
mod pace;
mod pages;
mod panics;
mod protocol;
#[cfg(target_os = "linux")]
mod proxies;
#[cfg(target_os = "linux")]
mod reconnects;
mod refusals;
#[cfg(target_os = "linux")]
#[path = "../scripted/mod.rs"]
mod scripted;
mod session;
mod tcp;
#[cfg(any(feature = "reqwest", feature = "isahc"))]
mod tls;
mod trial;
mod waiting;
mod watched;
