//! The client over each backend, and by both facades.

#![cfg(all(
    feature = "blocking",
    any(feature = "reqwest", feature = "surf", feature = "isahc")
))]

mod backend;
mod blocking;
mod dead_network;
#[cfg(feature = "reqwest")]
mod driving;
mod dropping;
#[path = "../client/fake_box.rs"]
mod fake_box;
mod faults;
mod follower;
mod place;
