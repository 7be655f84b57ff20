//! The arguments for the events of an enterprise, live and past.

use box_longpoll::StartAt;
use clap::Args;
use jiff::Timestamp;

/// The events of an enterprise
#[derive(Args)]
#[command(next_help_heading = "Enterprise")]
pub(super) struct EnterpriseArguments {
    /// Shows the events of the enterprise to which the user belongs as an admin or co-admin
    #[arg(long, conflicts_with = "stream_type")]
    pub(super) enterprise: bool,

    /// Begins with the events of the enterprise since this time, at most 365 days ago: a day such as
    /// `2026-01-31`, which begins at midnight UTC, or a time such as `2026-01-31T08:00:00Z`
    #[arg(
        long,
        value_name = "TIME",
        value_parser = time,
        requires = "enterprise",
        conflicts_with = "from"
    )]
    since: Option<Timestamp>,
}

impl EnterpriseArguments {
    /// Returns the start in the past, if there is one.
    pub(super) fn start(&self) -> Option<StartAt> {
        self.since.map(StartAt::Since)
    }
}

/// Reads a time, or a day, which begins at midnight UTC.
fn time(text: &str) -> Result<Timestamp, &'static str> {
    let midnight = || format!("{text}T00:00:00Z").parse();
    text.parse()
        .or_else(|_| midnight())
        .map_err(|_| "neither a day such as 2026-01-31 nor a time such as 2026-01-31T08:00:00Z")
}
