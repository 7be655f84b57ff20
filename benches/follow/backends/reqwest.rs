//! The reqwest backend, on tokio with one thread.

use box_longpoll::transports::ReqwestTransport;

use crate::library::Backend;
use crate::runtime::Tokio;

impl Backend for ReqwestTransport {
    type Runtime = Tokio;

    fn new() -> Self {
        ReqwestTransport::new().expect("reqwest can be set up")
    }
}
