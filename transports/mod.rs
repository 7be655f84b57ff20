//! The HTTP libraries that a Cargo feature plugs in. Each is one file and one feature.

#[cfg(feature = "reqwest")]
mod reqwest;

#[cfg(feature = "reqwest")]
pub use self::reqwest::ReqwestTransport;
