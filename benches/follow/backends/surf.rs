//! The surf backend, on smol with one thread.

use box_longpoll::transports::SurfTransport;

use crate::library::Backend;
use crate::runtime::Smol;

impl Backend for SurfTransport {
    type Runtime = Smol;

    fn new() -> Self {
        SurfTransport::new().expect("surf can be set up")
    }
}
