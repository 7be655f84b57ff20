//! The server: its thread, its connections and their limits.
//!
//! A client may send nothing, read nothing or open many connections. It takes connections away from
//! other clients of the server, for some minutes, and can't reach the stream: that runs on another
//! thread.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::Semaphore;
use tokio::time::{interval, sleep, timeout};

use super::routes::{Site, router};

/// The number of connections at the same time. More are closed at once.
const CONNECTIONS: usize = 64;

/// The time limit for a connection, after which a client connects again.
pub(super) const LIFETIME: Duration = Duration::from_secs(20 * 60);

/// The time limit for the headers of a request, and for the pause before them.
const HEADERS: Duration = Duration::from_secs(60);

/// The maximum size of the headers of a request, and of a response that is not read yet, in bytes.
const BUFFER: usize = 16 * 1024;

/// The time between two moves of new values of histograms into their buckets.
const TIDY: Duration = Duration::from_secs(5);

/// The pause between two reads of a status that changes all the time.
const PAUSE: Duration = Duration::from_millis(50);

/// Starts the server on a thread of its own.
pub(super) fn start(listener: TcpListener, site: Site) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = {
        let _context = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let serve = move || runtime.block_on(serve(listener, Arc::new(site)));
    thread::Builder::new().name("metrics".into()).spawn(serve)?;
    Ok(())
}

async fn serve(listener: tokio::net::TcpListener, site: Arc<Site>) {
    tokio::spawn(keep_up(site.clone()));
    let router = router(site);
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((connection, _)) => {
                if let Ok(permit) = connections.clone().try_acquire_owned() {
                    let serve = timeout(LIFETIME, serve_one(connection, router.clone()));
                    tokio::spawn(async move {
                        let _ = serve.await;
                        drop(permit);
                    });
                }
            }
            // The process may have too many open files. Connections that end make room.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Serves the requests of a connection until its client closes it. An error is one of the client.
async fn serve_one(connection: TcpStream, router: Router) -> Result<(), hyper::Error> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(connection), TowerToHyperService::new(router))
        .await
}

/// Does at an interval what must also be done if nobody sends requests.
async fn keep_up(site: Arc<Site>) {
    let mut handle = site.handle.clone();
    let mut tidy = interval(TIDY);
    loop {
        tokio::select! {
            // The time since which the state has not changed is known only if each change is seen.
            Some(status) = handle.changed() => {
                site.board.update(&status, &handle.statistics());
                sleep(PAUSE).await;
            }
            _ = tidy.tick() => site.metrics.tidy(),
        }
    }
}
