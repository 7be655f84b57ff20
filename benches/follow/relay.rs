//! A relay between a client and a server, which counts the bytes of the responses.
//!
//! Nobody else can count them: after TLS and compression, the client and the emulator both see
//! other bytes. Start from [`Relay::start`].

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::emulator::Address;

/// A relay on a port of its own, which serves until the process ends.
pub(crate) struct Relay {
    /// The address at which clients reach the server through the relay.
    pub(crate) address: Address,
    received: Arc<AtomicU64>,
}

impl Relay {
    pub(crate) fn start(server: &Address) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (rest, port) = server.origin.rsplit_once(':').unwrap_or_default();
        let server_port = port.parse().map_err(std::io::Error::other)?;
        let address = Address {
            origin: format!("{rest}:{}", listener.local_addr()?.port()),
            authority: server.authority.clone(),
        };
        let received = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&received);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)) else {
                    return;
                };
                let (Ok(to_client), Ok(to_server)) = (client.try_clone(), server.try_clone())
                else {
                    return;
                };
                let counter = Arc::clone(&counter);
                thread::spawn(move || pass_on(client, to_server, &AtomicU64::new(0)));
                thread::spawn(move || pass_on(server, to_client, &counter));
            }
        });
        Ok(Self { address, received })
    }

    /// Returns the bytes of all responses so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// Passes bytes on until one side closes, and counts them.
fn pass_on(mut from: TcpStream, mut to: TcpStream, counter: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => {
                counter.fetch_add(length as u64, Ordering::Relaxed);
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
        }
    }
    // The other side may be gone already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
