//! The arguments for the events of an enterprise, and for the times at which events begin and end.

use box_longpoll::StartAt;
use box_longpoll::enterprise::AdminLogs;
use clap::Args;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, civil};

use crate::cli::usage_error;

/// The events of an enterprise
#[derive(Args)]
#[command(next_help_heading = "Enterprise and time")]
pub(super) struct EnterpriseArguments {
    /// Shows the events of the enterprise to which the user belongs as an admin or co-admin
    #[arg(long, conflicts_with = "stream_type")]
    pub(super) enterprise: bool,

    /// Begins with the events of the enterprise since this time, at most 365 days ago: a duration until
    /// now such as `2h` or `3 days`, a day such as `2026-01-31`, which begins at midnight UTC, or a time
    /// such as `2026-01-31T08:00:00Z`
    #[arg(
        long,
        value_name = "TIME",
        value_parser = time,
        requires = "enterprise",
        conflicts_with = "from"
    )]
    since: Option<Timestamp>,

    /// Shows only events that were created before this time, and ends by itself after the last one: a
    /// time as for `--since`, or `+2h` for one in 2 hours. A live stream ends 5 minutes after it,
    /// because Box may show an event late
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
}

impl EnterpriseArguments {
    /// Returns the start in the past, if there is one.
    pub(super) fn start(&self) -> Option<StartAt> {
        self.since.map(StartAt::Since)
    }

    /// Returns the time at which the events end, if they do. Ends the program if it is not after
    /// their start, or if the start is still to come.
    pub(super) fn until(&self) -> Option<Timestamp> {
        if self.since.is_some_and(|since| since > Timestamp::now()) {
            usage_error("--since is still to come: begin in the past, or leave it out");
        }
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            usage_error("--until must be later than --since");
        }
        self.until
    }

    /// Returns the query for past events alone, if they have a start in the past, and their end has
    /// passed.
    pub(super) fn query(&self, start: &StartAt) -> Option<AdminLogs> {
        let StartAt::Since(since) = start else {
            return None;
        };
        let until = self.until.filter(|until| *until <= Timestamp::now())?;
        let query = AdminLogs::new().created_after(*since).created_before(until);
        self.enterprise.then_some(query)
    }
}

/// Reads a time, a day, which begins at midnight UTC, or the time until now or from now on.
pub(crate) fn time(text: &str) -> Result<Timestamp, &'static str> {
    let midnight = || format!("{text}T00:00:00Z").parse();
    text.parse()
        .or_else(|_| midnight())
        .ok()
        .or_else(|| relative_time(text))
        .ok_or_else(|| match text.parse::<civil::DateTime>() {
            Ok(_) => "the time has no offset from UTC: add one, such as Z or +02:00",
            Err(_) => {
                "neither a duration such as 2h, nor a day such as 2026-01-31, nor a time such as \
                 2026-01-31T08:00:00Z"
            }
        })
}

/// Reads a duration, which ends now, or begins now after a plus. Days, months and years are those of
/// the calendar in UTC.
fn relative_time(text: &str) -> Option<Timestamp> {
    let now = Timestamp::now().to_zoned_datetime(TimeZone::UTC);
    let time = match text.strip_prefix('+') {
        Some(later) => now.checked_add(later.parse::<Span>().ok()?.abs()),
        None => now.checked_sub(text.parse::<Span>().ok()?.abs()),
    };
    time.ok().map(|time| time.timestamp())
}
