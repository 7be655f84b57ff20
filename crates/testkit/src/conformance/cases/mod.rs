//! The cases, each a rule of the [contract](box_longpoll::transport).
//!
//! What is `required_` the client relies on. What is `optional_` a good transport does, and the client can do without.

#![expect(clippy::missing_panics_doc, reason = "a panic is how a case fails")]

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
