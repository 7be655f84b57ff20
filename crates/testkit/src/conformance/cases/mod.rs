//! The cases, each a rule of the [contract](box_longpoll::transport).
//!
//! The client relies on the rules of the cases named `required_…`. A good transport also follows
//! those named `optional_…`, but the client works without them.
//! [`conformance_tests!`](crate::conformance_tests) makes a test of each case, and
//! [`Case::run`](super::Case::run) runs a single one; nothing else needs to call these functions.

#![expect(clippy::missing_panics_doc, reason = "a case fails by a panic")]

mod connection;
mod errors;
mod framing;
mod kept_connections;
mod limits;
mod runtime;
mod semantics;
mod time;
mod tls;

pub use connection::*;
pub use errors::*;
pub use framing::*;
pub use kept_connections::*;
pub use limits::*;
pub use runtime::*;
pub use semantics::*;
pub use time::*;
pub use tls::*;
