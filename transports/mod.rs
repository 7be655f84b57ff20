//! Transports over the HTTP libraries reqwest, isahc and surf.
//!
//! Each transport is one file, and one Cargo feature enables it. To use another HTTP library,
//! implement [`HttpTransport`](crate::HttpTransport) yourself.
//!
//! | transport | executor | choose it if |
//! |---|---|---|
//! | `ReqwestTransport` | tokio | the application runs on tokio |
//! | `IsahcTransport` | any | the application runs on smol, on another executor, or on none |
//! | `SurfTransport` | any | the application already uses surf, which is no longer maintained |
//!
//! [Behind a proxy](crate::proxy) describes the proxies that each of them supports.

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
