//! The command line of the benchmark.
//!
//! The same program also runs as the emulator and as a client, in [`Role`]s that the harness
//! starts. Start from [`Arguments`].

use clap::{Parser, Subcommand, ValueEnum};

use crate::scenario::Scenario;
use crate::subject::Name;

/// Measures how the library follows accounts, beside the floor: the least that a client over hyper
/// could do.
#[derive(Parser)]
pub(crate) struct Arguments {
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
    Emulator,
    #[command(hide = true)]
    Client {
        name: Name,
        origin: String,
        #[arg(value_parser = scenario)]
        scenario: Scenario,
    },
}

fn scenario(text: &str) -> Result<Scenario, serde_json::Error> {
    serde_json::from_str(text)
}
