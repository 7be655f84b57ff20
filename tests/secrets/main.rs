//! A token and a realtime channel that nobody may see, brought before everything that shows or keeps something: whatever
//! is logged in this program, by whichever crate, is read as well.

#![cfg(all(
    feature = "blocking",
    feature = "jwt",
    any(feature = "reqwest", feature = "surf", feature = "isahc")
))]

#[path = "../backends/backend.rs"]
mod backend;
mod canary;
mod debugs;
mod echoes;
#[path = "../client/fake_box.rs"]
#[expect(dead_code, reason = "the token here is another")]
mod fake_box;
mod files;
mod grants;
#[path = "../keys/mod.rs"]
#[expect(dead_code, reason = "nobody checks a signature here")]
mod keys;
mod log;
#[cfg(target_os = "linux")]
mod memory;
mod panics;
mod refusals;
