//! The backends of this build, and the runtime of each.
//!
//! Other test programs include this file. Start at [`Backend`].

use std::future::Future;
use std::sync::Arc;

use box_longpoll::{HttpTransport, transports};

/// An HTTP library with its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    #[cfg(feature = "reqwest")]
    Reqwest,
    #[cfg(feature = "surf")]
    Surf,
    #[cfg(feature = "isahc")]
    Isahc,
}

impl Backend {
    /// Returns a new transport with default settings.
    pub(crate) fn transport(self) -> Arc<dyn HttpTransport> {
        match self {
            #[cfg(feature = "reqwest")]
            Self::Reqwest => Arc::new(transports::ReqwestTransport::new().unwrap()),
            #[cfg(feature = "surf")]
            Self::Surf => Arc::new(transports::SurfTransport::new().unwrap()),
            #[cfg(feature = "isahc")]
            Self::Isahc => Arc::new(transports::IsahcTransport::new().unwrap()),
        }
    }

    /// Returns the runtime that an application with this backend would use.
    pub(crate) fn runtime(self) -> Runtime {
        match self {
            #[cfg(feature = "reqwest")]
            Self::Reqwest => Runtime::Tokio(tokio::runtime::Runtime::new().unwrap()),
            #[cfg(feature = "surf")]
            Self::Surf => Runtime::Smol,
            #[cfg(feature = "isahc")]
            Self::Isahc => Runtime::Smol,
        }
    }
}

/// An async runtime.
pub(crate) enum Runtime {
    #[cfg(feature = "reqwest")]
    Tokio(tokio::runtime::Runtime),
    #[cfg(any(feature = "surf", feature = "isahc"))]
    Smol,
}

impl Runtime {
    /// Runs a future to its end on this thread.
    pub(crate) fn block_on<R>(&self, work: impl Future<Output = R>) -> R {
        match self {
            #[cfg(feature = "reqwest")]
            Self::Tokio(runtime) => runtime.block_on(work),
            #[cfg(any(feature = "surf", feature = "isahc"))]
            Self::Smol => smol::block_on(work),
        }
    }
}
