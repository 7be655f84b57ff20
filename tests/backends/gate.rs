//! Ports in front of a fake Box that accept no usable connection at first.
//!
//! Start at [`Gate`] for plain TCP, and at [`TlsGate`] for TLS.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use box_longpoll_testkit::EmulatorServer;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// A port that accepts connections only after [`Gate::open`].
pub(crate) struct Gate {
    runtime: Runtime,
    address: SocketAddr,
    closed: Closed,
}

enum Closed {
    /// The socket is bound but does not listen, so no other program can take the port.
    Refusing(TcpSocket),
    /// The queue of connections is full, so the kernel does not respond to another one.
    Full {
        listener: TcpListener,
        _waiting: Vec<TcpStream>,
    },
}

impl Gate {
    /// Returns a gate that refuses each connection.
    pub(crate) fn refusing() -> Self {
        let socket = bound();
        Self {
            runtime: runtime(),
            address: socket.local_addr().unwrap(),
            closed: Closed::Refusing(socket),
        }
    }

    /// Returns a gate at which each attempt to connect waits until its timeout.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(
            dead_code,
            reason = "other kernels may queue more connections than the limit"
        )
    )]
    pub(crate) fn full() -> Self {
        let runtime = runtime();
        let socket = bound();
        let address = socket.local_addr().unwrap();
        let listener = {
            let _inside = runtime.enter();
            socket.listen(0).unwrap()
        };
        let soon = Duration::from_millis(50);
        let connect = || TcpStream::connect_timeout(&address, soon).ok();
        let waiting = std::iter::from_fn(connect).take(100).collect::<Vec<_>>();
        assert!(waiting.len() < 100, "the queue of connections has no limit");
        Self {
            runtime,
            address,
            closed: Closed::Full {
                listener,
                _waiting: waiting,
            },
        }
    }

    /// Returns the origin of the gate, with the scheme `http`.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Relays every connection to the server from now on.
    #[must_use = "the gate closes when the runtime is dropped"]
    pub(crate) fn open(self, server: &EmulatorServer) -> Runtime {
        let listener = match self.closed {
            Closed::Refusing(socket) => {
                let _inside = self.runtime.enter();
                socket.listen(100).unwrap()
            }
            Closed::Full { listener, .. } => listener,
        };
        let server = address_of(server);
        self.runtime.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(relay(client, server));
            }
        });
        self.runtime
    }
}

/// A gate that speaks TLS and relays the connections of clients that trust its certificate.
pub(crate) struct TlsGate {
    address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    _runtime: Runtime,
}

impl TlsGate {
    /// Starts a gate in front of a fake Box.
    pub(crate) fn new(server: &EmulatorServer, config: Arc<ServerConfig>) -> Self {
        Self::before(address_of(server), config)
    }

    /// Starts a gate in front of any server.
    pub(crate) fn before(server: SocketAddr, config: Arc<ServerConfig>) -> Self {
        let runtime = runtime();
        let listener = {
            let _inside = runtime.enter();
            bound().listen(100).unwrap()
        };
        let address = listener.local_addr().unwrap();
        let config = Arc::new(Mutex::new(config));
        let presented = Arc::clone(&config);
        runtime.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let acceptor = TlsAcceptor::from(presented.lock().unwrap().clone());
                tokio::spawn(async move {
                    if let Ok(client) = acceptor.accept(client).await {
                        relay(client, server).await;
                    }
                });
            }
        });
        Self {
            address,
            config,
            _runtime: runtime,
        }
    }

    /// Returns the origin of the gate. Its host name is the one in the certificates.
    pub(crate) fn origin(&self) -> String {
        format!("https://localhost:{}", self.port())
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Presents the certificate of `config` to later connections.
    pub(crate) fn renew(&self, config: Arc<ServerConfig>) {
        *self.config.lock().unwrap() = config;
    }
}

/// Copies bytes in both directions until one side closes the connection.
async fn relay(mut client: impl AsyncRead + AsyncWrite + Unpin, server: SocketAddr) {
    if let Ok(mut server) = tokio::net::TcpStream::connect(server).await {
        // An error ends the connection like a regular close.
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

/// Returns a socket that is bound to a free port.
fn bound() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    socket
}

fn address_of(server: &EmulatorServer) -> SocketAddr {
    server.origin()["http://".len()..].parse().unwrap()
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}
