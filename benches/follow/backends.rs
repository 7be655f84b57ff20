//! The backends that are compiled in.
//!
//! Each file implements [`Backend`](crate::library::Backend) for one transport, with the runtime
//! that applications use beside it.

#[cfg(feature = "isahc")]
mod isahc;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "surf")]
mod surf;
