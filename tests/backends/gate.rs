//! A port in front of a fake Box, which nothing gets through at first.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use box_longpoll_testkit::EmulatorServer;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// A gate that is opened in the end.
pub(crate) struct Gate {
    runtime: Runtime,
    address: SocketAddr,
    closed: Closed,
}

enum Closed {
    /// Bound, and not listening: nobody else can get the port.
    Refusing(TcpSocket),
    /// So many connections wait to be accepted that the kernel answers no more.
    Full {
        listener: TcpListener,
        _waiting: Vec<TcpStream>,
    },
}

impl Gate {
    /// Refuses each connection.
    pub(crate) fn refusing() -> Self {
        let socket = bound();
        Self {
            runtime: runtime(),
            address: socket.local_addr().unwrap(),
            closed: Closed::Refusing(socket),
        }
    }

    /// Lets each attempt to connect wait for ever.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(
            dead_code,
            reason = "other kernels may take more than they are told to"
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
        assert!(waiting.len() < 100, "it takes any number");
        Self {
            runtime,
            address,
            closed: Closed::Full {
                listener,
                _waiting: waiting,
            },
        }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets through to the server, from now on.
    #[must_use = "it closes when it is dropped"]
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

/// A gate that speaks TLS, and lets through whoever trusts its certificate.
pub(crate) struct TlsGate {
    address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    _runtime: Runtime,
}

impl TlsGate {
    pub(crate) fn new(server: &EmulatorServer, config: Arc<ServerConfig>) -> Self {
        Self::before(address_of(server), config)
    }

    /// A gate before any server.
    pub(crate) fn before(server: SocketAddr, config: Arc<ServerConfig>) -> Self {
        let runtime = runtime();
        let listener = {
            let _inside = runtime.enter();
            bound().listen(100).unwrap()
        };
        let address = listener.local_addr().unwrap();
        let config = Arc::new(Mutex::new(config));
        let shown = Arc::clone(&config);
        runtime.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let acceptor = TlsAcceptor::from(shown.lock().unwrap().clone());
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

    /// By the name that its certificates are for.
    pub(crate) fn origin(&self) -> String {
        format!("https://localhost:{}", self.port())
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Shows this certificate from now on.
    pub(crate) fn renew(&self, config: Arc<ServerConfig>) {
        *self.config.lock().unwrap() = config;
    }
}

async fn relay(mut client: impl AsyncRead + AsyncWrite + Unpin, server: SocketAddr) {
    if let Ok(mut server) = tokio::net::TcpStream::connect(server).await {
        // However it ends, it is over.
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

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
