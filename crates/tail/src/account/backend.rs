//! [`Backend`]: the HTTP library, which `--backend` chooses when the program starts.
//!
//! Each feature of the library for a transport adds one choice. All of them are used through a
//! `dyn HttpTransport`, so the rest of the program does not depend on the choice.

use std::sync::Arc;

use box_longpoll::HttpTransport;
use box_longpoll::transport::TransportError;
#[cfg(feature = "isahc")]
use box_longpoll::transports::IsahcTransport;
#[cfg(feature = "reqwest")]
use box_longpoll::transports::ReqwestTransport;
#[cfg(feature = "surf")]
use box_longpoll::transports::SurfTransport;
use clap::ValueEnum;

/// The HTTP libraries that are compiled in.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Backend {
    #[cfg(feature = "reqwest")]
    Reqwest,
    #[cfg(feature = "surf")]
    Surf,
    #[cfg(feature = "isahc")]
    Isahc,
}

impl Backend {
    /// Creates the transport over this library.
    pub(crate) fn transport(self) -> Result<Arc<dyn HttpTransport>, TransportError> {
        match self {
            #[cfg(feature = "reqwest")]
            Self::Reqwest => Ok(Arc::new(ReqwestTransport::new()?)),
            #[cfg(feature = "surf")]
            Self::Surf => Ok(Arc::new(SurfTransport::new()?)),
            #[cfg(feature = "isahc")]
            Self::Isahc => Ok(Arc::new(IsahcTransport::new()?)),
        }
    }

    /// Returns the environment variables that name this library's proxy for https. The first one
    /// that is set counts.
    pub(crate) fn proxy_variables(self) -> &'static [&'static str] {
        match self {
            #[cfg(feature = "reqwest")]
            Self::Reqwest => &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
            #[cfg(feature = "surf")]
            Self::Surf => &[],
            #[cfg(feature = "isahc")]
            Self::Isahc => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        }
    }
}
