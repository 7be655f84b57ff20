//! The command line.

use clap::{Parser, Subcommand, ValueEnum};

use crate::scenario::Scenario;
use crate::subject::Name;

/// Measures how the library follows accounts, beside the floor: the least that a client over hyper could do.
#[derive(Parser)]
pub(crate) struct Arguments {
    /// What to measure
    #[arg(long, value_delimiter = ',', default_values = ["catchup", "latency", "idle", "startup"])]
    pub(crate) only: Vec<Part>,
    /// Whom to measure; all that are compiled in, unless some are named
    #[arg(long, value_delimiter = ',')]
    pub(crate) backends: Vec<Name>,
    /// How often; catching up is five times by default, all else once
    #[arg(long)]
    pub(crate) rounds: Option<usize>,
    /// Small sizes, to see that it works
    #[arg(long)]
    pub(crate) quick: bool,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Catchup,
    Latency,
    Idle,
    Startup,
}

/// What the program does when it started itself.
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
