//! Tests of one program that follows many accounts, with real sockets and the testkit's fake Box.

#![cfg(feature = "reqwest")]

mod accounts;
mod calls;
mod derived_clients;
#[path = "../client/fake_box.rs"]
mod fake_box;
mod reconnects;
mod sets;
#[cfg(target_os = "linux")]
mod ten_thousand;
mod world;
