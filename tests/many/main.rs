//! Many accounts, followed by one program.

#![cfg(feature = "reqwest")]

mod accounts;
mod calls;
#[path = "../client/fake_box.rs"]
mod fake_box;
mod reconnects;
mod sets;
mod siblings;
#[cfg(target_os = "linux")]
mod ten_thousand;
mod world;
