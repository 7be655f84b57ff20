//! `--metrics ADDR`: a small web server with a page, metrics for Prometheus, and health checks.
//!
//! The server runs on a thread of its own, so that no client of it can delay the stream. The main
//! loop leaves what it did on the [`Board`], and the server reads it there. Start at [`Web`].

mod address;
mod board;
mod feed;
mod health;
mod host;
mod overview;
mod recorder;
mod routes;
mod row;
mod server;
mod state;
mod watched_sink;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use box_longpoll::StreamHandle;
use clap::Args;
use jiff::Timestamp;

use self::board::Board;
use self::host::HostName;
pub(crate) use self::recorder::DEAD_LETTERS;
use self::recorder::Metrics;
use self::routes::Site;
use self::watched_sink::WatchedSink;
use crate::pulse::Pulse;
use crate::report;
use crate::sink::Sink;

/// The web server of a run
#[derive(Args, Default)]
#[command(next_help_heading = "Running")]
pub(crate) struct WebArguments {
    /// Serves a page, metrics for Prometheus and health checks at this address. `PORT` and `:PORT`
    /// are for this machine only. An IP address and a port, such as `0.0.0.0:9464`, let other
    /// machines in: the page shows names of people and files, and has no password
    #[arg(long, value_name = "ADDR", value_parser = address::parse)]
    metrics: Option<SocketAddr>,

    /// Serves the page under this host name too. Otherwise its address must be an IP address or
    /// `localhost`
    #[arg(long = "metrics-host", value_name = "NAME", requires = "metrics")]
    hosts: Vec<HostName>,
}

/// The web server, before it runs. Its port is taken, and metrics are recorded.
pub(crate) struct Web {
    listener: TcpListener,
    address: SocketAddr,
    hosts: Vec<HostName>,
    metrics: Metrics,
    board: Arc<Board>,
}

impl WebArguments {
    /// Takes the port, if there is a server to run, and begins to record metrics.
    ///
    /// # Errors
    ///
    /// Returns a sentence that names the address, for instance if another program has the port.
    pub(crate) fn web(&self) -> Result<Option<Web>, String> {
        let Some(address) = self.metrics else {
            return Ok(None);
        };
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "cannot serve the metrics at {address}: another program uses this port: choose \
                 another one in --metrics"
            ),
            _ => format!("cannot serve the metrics at {address}: {error}"),
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Some(Web {
            listener,
            address,
            hosts: self.hosts.clone(),
            metrics: Metrics::install()?,
            board: Arc::default(),
        }))
    }
}

impl Web {
    /// Returns the sink, which now leaves on the board what it wrote.
    /// `name` is the label `sink` of the metrics.
    pub(crate) fn watch(&self, sink: Box<dyn Sink>, name: &'static str) -> Box<dyn Sink> {
        Box::new(WatchedSink::new(sink, name, self.board.clone()))
    }

    /// Starts the server, and prints its address. Returns the pulse that the main loop must have, for
    /// the health checks.
    fn start(self, followed: String, handle: StreamHandle) -> io::Result<Arc<Pulse>> {
        let pulse = Arc::new(Pulse::new());
        let site = Site {
            started: Timestamp::now(),
            account: followed,
            handle,
            pulse: pulse.clone(),
            hosts: self.hosts,
            metrics: self.metrics,
            board: self.board,
        };
        server::start(self.listener, site)?;
        let address = address::to_visit(self.address);
        report::print_line(&format!("page and metrics at http://{address}/"));
        Ok(pulse)
    }
}

/// Runs the main loop, beside the web server if there is one. `followed` says whose events are
/// followed, and `handle` is that of their stream.
///
/// # Errors
///
/// Returns an error if the server's thread can't be started. The main loop then did not run.
pub(crate) async fn run_beside<F: Future>(
    web: Option<Web>,
    followed: String,
    handle: StreamHandle,
    main_loop: F,
) -> io::Result<F::Output> {
    Ok(match web {
        Some(web) => web.start(followed, handle)?.of(main_loop).await,
        None => main_loop.await,
    })
}
