//! The surf backend, on smol with one thread.

use box_longpoll::transports::SurfTransport;

use crate::library::Backend;
use crate::runtime::Smol;
use crate::subject::exit_with;

impl Backend for SurfTransport {
    type Runtime = Smol;

    fn new(authority: Option<&str>) -> Self {
        if authority.is_some() {
            exit_with("surf is measured without TLS only");
        }
        SurfTransport::new().expect("surf can be set up")
    }
}
