//! The network of the server, over real connections: its distance, compression and TLS. Each test
//! checks an order, or that something takes at least some time. None checks how fast the machine
//! is.

mod client;
mod compression;
mod distance;
#[cfg(feature = "tls")]
mod tls;
