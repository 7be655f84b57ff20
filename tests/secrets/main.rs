//! Tests that secrets appear in no error, log, `Debug` output, panic or file, and do not stay in
//! memory.
//!
//! [`canary`] has the secrets and searches texts for them. [`log`] collects the log of all
//! crates in this program.

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
#[expect(dead_code, reason = "these tests have a token of their own")]
mod fake_box;
mod files;
mod grants;
#[path = "../keys/mod.rs"]
#[expect(dead_code, reason = "no test here checks a signature")]
mod keys;
mod log;
#[cfg(target_os = "linux")]
mod memory;
mod panics;
mod refusals;
