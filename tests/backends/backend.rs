//! The backends that are compiled in.

use std::future::Future;
use std::sync::Arc;

use box_longpoll::{HttpTransport, transports};

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

    /// The runtime that an application would have beside it.
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

pub(crate) enum Runtime {
    #[cfg(feature = "reqwest")]
    Tokio(tokio::runtime::Runtime),
    #[cfg(any(feature = "surf", feature = "isahc"))]
    Smol,
}

impl Runtime {
    pub(crate) fn block_on<R>(&self, work: impl Future<Output = R>) -> R {
        match self {
            #[cfg(feature = "reqwest")]
            Self::Tokio(runtime) => runtime.block_on(work),
            #[cfg(any(feature = "surf", feature = "isahc"))]
            Self::Smol => smol::block_on(work),
        }
    }
}
