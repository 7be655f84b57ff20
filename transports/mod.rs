//! The HTTP libraries that a Cargo feature plugs in. Each is one file and one feature.
//!
//! | | executor | choose it |
//! |---|---|---|
//! | `ReqwestTransport` | tokio | where the application runs on tokio |
//! | `IsahcTransport` | any | where it runs on smol, on another executor, or on none |
//! | `SurfTransport` | any | where surf is already in use; surf is no longer maintained |
//!
//! [Behind a proxy](crate::proxy) says which of them uses a proxy, and how.

#[cfg(any(feature = "surf", feature = "isahc"))]
mod body;
#[cfg(any(feature = "reqwest", feature = "isahc"))]
mod certificates;
#[cfg(feature = "isahc")]
mod isahc;
#[cfg(any(feature = "reqwest", feature = "isahc"))]
mod proxy;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "surf")]
mod surf;

#[cfg(feature = "isahc")]
pub use self::isahc::IsahcTransport;
#[cfg(feature = "reqwest")]
pub use self::reqwest::ReqwestTransport;
#[cfg(feature = "surf")]
pub use self::surf::SurfTransport;
