//! The command `audit`: finds the past events of an enterprise that a copy lacks.
//!
//! The library reads the events from Box and compares their ids. [`Records`] has the ids of the
//! copy: files are read into memory as hashes, and a database is queried for each page.

mod ids;
mod sqlite;

use std::process::ExitCode;

use box_longpoll::enterprise::{AdminLogs, MissingEvents};
use box_longpoll::{ErrorKind, Event, LongPollClient, StartAt, Status};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use tokio::select;

use self::ids::Ids;
use self::sqlite::Database;
use crate::account::{AccountArguments, CredentialError, Source};
use crate::cli::usage_error;
use crate::demo::{DEMO_ACCOUNT, DemoArguments, fake_box};
use crate::exit_code;
use crate::failure;
use crate::follow::{FilterArguments, flush};
use crate::output::Format;
use crate::report::{self, Live, Report, with_causes};
use crate::signals::{Signal, Signals};
use crate::sink::{Failure, SinkError, print};

/// The beginning of the name of a copy that is a database.
const DATABASE: &str = "sqlite:";

/// Finds the events of an enterprise that your copy lacks
///
/// It reads the past events of a range from Box, up to 365 days back, and compares their ids with
/// those in your copy. Each missing event is written to standard output as Box's own JSON, on one
/// line, so you can append the output to your copy. The exit code is 0 if no event is missing, and 3 if
/// there is one. After any other code, the audit is not complete. The token must belong to an admin or
/// co-admin.
///
/// Box adds some events late, by hours or days: the later you audit a range, the more it proves.
#[derive(Args)]
pub(crate) struct AuditArguments {
    /// The copy: files with a JSON event or an id on each line, plain or compressed with gzip; `-`
    /// for standard input; or one `sqlite:FILE`, as box-tail writes it. The id of an event is its
    /// `event_id`, that of the formats `ecs` and `ocsf`, or that of a dead letter
    #[arg(required = true, value_name = "COPY")]
    copies: Vec<String>,

    #[command(flatten)]
    demo: DemoArguments,

    #[command(flatten)]
    range: RangeArguments,

    #[command(flatten)]
    filter: FilterArguments,

    #[command(flatten)]
    account: AccountArguments,
}

/// The range of time
#[derive(Args)]
#[command(next_help_heading = "Range")]
struct RangeArguments {
    /// The begin of the range, at most 365 days ago: a duration until now such as `7 days`, a
    /// day such as `2026-01-31`, which begins at midnight UTC, or a time such as
    /// `2026-01-31T08:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = crate::follow::time)]
    since: Timestamp,

    /// The end of the range; the default is a day ago, because Box adds events late
    #[arg(long, value_name = "TIME", value_parser = crate::follow::time)]
    until: Option<Timestamp>,
}

/// The time before the default end of a range.
const DAY: SignedDuration = SignedDuration::from_hours(24);

impl RangeArguments {
    /// Returns the range. Ends the program if it has no time in it.
    fn query(&self) -> AdminLogs {
        match self.until {
            Some(until) if self.since >= until => {
                usage_error("--until must be later than --since");
            }
            None if self.since >= Timestamp::now() - DAY => usage_error(
                "without --until, the range ends a day ago: say where it ends, or begin it earlier",
            ),
            _ => {}
        }
        let query = AdminLogs::new().created_after(self.since);
        match self.until {
            Some(until) => query.created_before(until),
            None => query,
        }
    }
}

/// The ids of the copy.
enum Records {
    Ids(Ids),
    Database(Database),
}

impl Records {
    /// Opens the copies. Ends the program if they can't be used together.
    fn of(copies: Vec<String>) -> Result<Self, String> {
        let (databases, files): (Vec<_>, Vec<_>) = copies
            .into_iter()
            .partition(|copy| copy.starts_with(DATABASE));
        match &databases[..] {
            [] => Ok(Self::Ids(Ids::of(files))),
            [database] if files.is_empty() => {
                Database::open(&database[DATABASE.len()..]).map(Self::Database)
            }
            _ => usage_error("sqlite:FILE must be the only copy"),
        }
    }
}

/// Runs the command, and returns the exit code of the program.
pub(crate) async fn run(arguments: AuditArguments) -> ExitCode {
    let types = arguments.filter.event_types();
    let query = arguments.range.query().event_types(types);
    let transport = match arguments.account.transport() {
        Ok(transport) => transport,
        Err(error) => {
            return failure(&format!("cannot set up HTTP: {}", with_causes(&error)));
        }
    };
    let settings = LongPollClient::builder().filter(arguments.filter.filter());
    let mut settings = arguments.account.settings(settings);
    let account = arguments.account.as_user.as_deref();
    let past_account = account.unwrap_or(DEMO_ACCOUNT);
    let fake_box = arguments.demo.demo.then(|| fake_box(Some(past_account)));
    if let Some(fake_box) = &fake_box {
        settings = settings.api_origin(fake_box.origin());
    }
    let source = match arguments.account.source() {
        _ if arguments.demo.demo => Source::demo(),
        Some(source) => source,
        None => usage_error(
            "an audit needs an access token: put one into BOX_ACCESS_TOKEN, or give the \
             credentials to get one, or use --demo",
        ),
    };
    let tokens = match source.tokens(arguments.account.api.as_deref(), transport.clone()) {
        Ok(tokens) => tokens,
        Err(CredentialError::Argument(error)) => usage_error(&error),
        Err(CredentialError::CredentialFile(error)) => return failure(&with_causes(&error)),
    };
    let records = match Records::of(arguments.copies) {
        Ok(records) => records,
        Err(error) => return failure(&error),
    };
    let audit = arguments
        .account
        .client(settings, transport, tokens.clone())
        .and_then(|client| client.audit(query));
    let audit = match audit {
        Ok(audit) => audit,
        Err(error) if error.kind() == ErrorKind::Config => usage_error(&with_causes(&error)),
        Err(error) => return failure(&with_causes(&error)),
    };
    let missing = match records {
        Records::Ids(mut ids) => {
            let missing = audit.missing_from(&mut ids);
            match ids.end() {
                Ok(summary) => report::print_line(&summary),
                Err(error) => return failure(&error),
            }
            missing
        }
        Records::Database(database) => {
            audit.missing_from_store(move |ids| database.clone().find(ids))
        }
    };
    let start = StartAt::Since(arguments.range.since);
    let code = compare(missing, Report::new(start, Live::AtAnInterval)).await;
    flush(&*tokens).await;
    code
}

/// Writes the missing events, and returns the exit code of the program.
async fn compare(mut missing: MissingEvents, mut report: Report) -> ExitCode {
    let mut signals = Signals::new(false);
    let mut handle = missing.handle();
    loop {
        select! {
            biased;
            signal = signals.next() => return ended_by(signal, &missing),
            event = missing.next() => {
                report::remove_status_line();
                match event {
                    Some(Ok(event)) => select! {
                        biased;
                        signal = signals.next() => return ended_by(signal, &missing),
                        written = print(line(&event)) => if let Err(error) = written {
                            return unwritten(&error);
                        },
                    },
                    Some(Err(error)) => {
                        let (text, counted) = (with_causes(&error), counted(&missing));
                        failure(&format!("{text}; {counted}; the audit is not complete"));
                        return exit_code::of(error.kind());
                    }
                    None => break,
                }
            }
            Some(status) = handle.changed() => {
                if !matches!(status, Status::Stopped { .. }) {
                    report.status(&status, &handle.statistics());
                }
            }
            () = report.refresh() => {}
        }
    }
    report::print_line(&counted(&missing));
    match missing.missing() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(exit_code::MISSING),
    }
}

/// Returns the sentence with the result so far.
fn counted(missing: &MissingEvents) -> String {
    format!(
        "{} of {} events are missing",
        missing.missing(),
        missing.checked()
    )
}

/// Reports that a signal has ended the audit, and returns the exit code.
fn ended_by(signal: Signal, missing: &MissingEvents) -> ExitCode {
    report::remove_status_line();
    report::print_line(&format!("{}; the audit is not complete", counted(missing)));
    match signal {
        Signal::Interrupt => ExitCode::from(exit_code::INTERRUPTED),
        Signal::Terminate | Signal::Reopen => ExitCode::FAILURE,
    }
}

/// Returns an event as Box's own JSON, on one line.
fn line(event: &Event) -> String {
    Format::Json.line(event) + "\n"
}

/// Returns the exit code of an audit whose output can't be written. If its reader has enough of the
/// missing events, that is not an error.
fn unwritten(error: &SinkError) -> ExitCode {
    match error.kind() {
        Failure::ReaderLeft => ExitCode::from(exit_code::MISSING),
        _ => failure(&format!(
            "cannot write events: {}; the audit is not complete",
            with_causes(error)
        )),
    }
}
