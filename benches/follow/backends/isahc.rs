//! The isahc backend, on smol with one thread.

use box_longpoll::transports::IsahcTransport;

use crate::library::Backend;
use crate::runtime::Smol;

impl Backend for IsahcTransport {
    type Runtime = Smol;

    fn new() -> Self {
        IsahcTransport::new().expect("isahc can be set up")
    }
}
