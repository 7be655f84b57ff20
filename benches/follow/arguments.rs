//! The command line of the benchmark.
//!
//! The same program also runs as the emulator and as a client, in [`Role`]s that the harness
//! starts. Start from [`Arguments`].

use clap::{Parser, Subcommand, ValueEnum};
use serde::de::DeserializeOwned;

use crate::emulator::{Address, Conditions};
use crate::scenario::Scenario;
use crate::subject::Name;

/// Measures how the library follows accounts, compared with the floor: the least that a client over
/// hyper could do.
#[derive(Parser)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each of them is an option of the command line"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) distance: Distance,
    /// Let the server compress pages while a client catches up, if the client accepts that
    #[arg(long, conflicts_with = "rtt")]
    pub(crate) gzip: bool,
    /// Measure instead how one stream reads the past of a large enterprise
    #[cfg(feature = "reqwest")]
    #[arg(long, conflicts_with_all = ["rtt", "gzip"])]
    pub(crate) history: bool,
    /// Parts to measure
    #[arg(long, value_delimiter = ',', default_values = ["catchup", "latency", "idle", "startup"])]
    pub(crate) only: Vec<Part>,
    /// Subjects to measure; by default all that are compiled in
    #[arg(long, value_delimiter = ',')]
    pub(crate) backends: Vec<Name>,
    /// Rounds of each part; by default five of catching up, one of the others
    #[arg(long)]
    pub(crate) rounds: Option<usize>,
    /// Use small sizes, to check that the benchmark works
    #[arg(long)]
    pub(crate) quick: bool,
    /// The flag that cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// The distance to the server.
#[derive(clap::Args)]
pub(crate) struct Distance {
    /// Measure from this distance instead: a round trip to the server takes this many milliseconds
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(2..=2_000))]
    pub(crate) rtt: Option<u32>,
    /// Measure over TLS, with --rtt
    #[arg(long, requires = "rtt")]
    pub(crate) tls: bool,
    /// The bandwidth in Mbit/s at which catching up is measured a second time, with --rtt
    #[arg(long, requires = "rtt", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) mbit: u32,
    /// Also measure events after ten minutes of quiet, with --rtt
    #[arg(long, requires = "rtt")]
    pub(crate) long: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Reading a long log.
    Catchup,
    /// The time from an event to its consumer.
    Latency,
    /// Memory, threads and CPU time of streams on which nothing happens.
    Idle,
    /// The time until many streams listen.
    Startup,
}

/// The role of a process that the harness starts.
#[derive(Subcommand)]
pub(crate) enum Role {
    #[command(hide = true)]
    Emulator {
        #[arg(value_parser = json::<Conditions>)]
        conditions: Conditions,
    },
    #[command(hide = true)]
    Client {
        name: Name,
        #[arg(value_parser = json::<Address>)]
        server: Address,
        #[arg(value_parser = json::<Scenario>)]
        scenario: Scenario,
    },
    #[cfg(feature = "reqwest")]
    #[command(hide = true)]
    HistoryClient {
        #[arg(value_parser = json::<Address>)]
        server: Address,
        #[arg(value_parser = json::<crate::history::Task>)]
        task: crate::history::Task,
    },
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
}
