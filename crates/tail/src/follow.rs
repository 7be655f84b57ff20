//! The command `follow`: the events of an account, from its stream to an output.
//!
//! [`run`] sets up the stream and the output, and [`copy`] moves the events. The arguments that
//! select events are in [`FilterArguments`], and those of an enterprise in [`EnterpriseArguments`].

mod batches;
mod copy;
mod enterprise_arguments;
mod filter_arguments;

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use box_longpoll::checkpoint::CheckpointFile;
use box_longpoll::config::{RealtimeHosts, StreamType};
use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::{
    Error, ErrorKind, LongPollClient, LongPollClientBuilder, StartAt, StreamHandle, TokenSource,
};
use box_longpoll_testkit::EmulatorServer;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use tokio::time::timeout;

use self::batches::{Events, Followed, Mode};
use self::copy::{End, Journey};
use self::enterprise_arguments::EnterpriseArguments;
pub(crate) use self::enterprise_arguments::time;
pub(crate) use self::filter_arguments::FilterArguments;
use crate::account::{AccountArguments, CredentialError, Source, Transport};
use crate::cli::usage_error;
use crate::demo::{DEMO_ACCOUNT, DemoArguments, fake_box};
use crate::exit_code;
use crate::failure;
use crate::output::{Outlet, OutputArguments};
use crate::report::{self, Live, Report, with_causes};
use crate::service::Service;
use crate::signals::Signals;
use crate::sink::SinkError;
use crate::web::{self, WebArguments};

/// The longest time between two fetches of a stream that ends at a time. A fetch after that time
/// proves that the stream has reached it.
const UNTIL_STALENESS: Duration = Duration::from_secs(60);

/// The longest time between an event of the fake Box and its appearance in the stream.
const DEMO_DELAY: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(crate) struct FollowArguments {
    #[command(flatten)]
    stream: StreamArguments,

    /// Keeps the position in this file, and resumes there; `--from` and `--since` count only if the
    /// file does not exist yet. A file of another `--as-user` or `--subject` is refused; with an access token
    /// alone, the account cannot be checked
    #[arg(long, value_name = "FILE", help_heading = "Start")]
    checkpoint: Option<PathBuf>,

    /// Ends after N events; pages have no more events than that, so with a filter a long backlog takes
    /// long
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "Start"
    )]
    count: Option<u64>,

    /// Uses the blocking client instead of the async one
    #[cfg(feature = "blocking")]
    #[arg(long, conflicts_with = "checkpoint", help_heading = "Account")]
    blocking: bool,

    #[command(flatten)]
    output: OutputArguments,

    #[command(flatten)]
    web: WebArguments,
}

/// The account, its events, and the first of them
#[derive(Args)]
pub(crate) struct StreamArguments {
    #[command(flatten)]
    demo: DemoArguments,

    /// The start: `now`, `oldest`, or the P of a line `position P`
    #[arg(
        long,
        value_name = "POSITION",
        default_value = "now",
        help_heading = "Start"
    )]
    from: StartAt,

    /// The events to follow
    #[arg(long, value_enum, default_value_t, help_heading = "Events")]
    stream_type: Stream,

    #[command(flatten)]
    enterprise: EnterpriseArguments,

    #[command(flatten)]
    filter: FilterArguments,

    #[command(flatten)]
    account: AccountArguments,
}

/// The stream types for which Box supports long polling.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Stream {
    /// All events that the user sees
    #[default]
    All,
    /// Only events that may change the tree of files and folders
    Changes,
    /// Only such events in synced folders
    Sync,
}

/// The account whose events are followed.
enum Account {
    /// A real account, with the source of its access tokens.
    Real(Source),
    /// An account of the fake Box inside the program.
    Demo,
}

impl FollowArguments {
    /// Returns the account to follow. Ends the program if there is `--checkpoint` without a real
    /// account: the fake Box does not outlive the program. Ends it too if an argument shows that a
    /// real account was meant, so that no made-up event gets to a real place.
    fn account(&self) -> Account {
        if !self.stream.demo.demo
            && let Some(source) = self.stream.account.source()
        {
            return Account::Real(source);
        }
        if self.checkpoint.is_some() {
            usage_error(
                "--checkpoint needs an account that still exists in the next run, and the fake Box \
                 of the demo ends with the program: put an access token into BOX_ACCESS_TOKEN, and \
                 leave out --demo",
            );
        }
        if !self.stream.demo.demo && self.means_a_real_account() {
            usage_error(
                "no credentials: put an access token into BOX_ACCESS_TOKEN, or into a file for \
                 --token-file, or name the application by --client-id; --demo shows made-up events",
            );
        }
        Account::Demo
    }

    /// Returns `true` if an argument would have no use, or do harm, in a demo that nobody wanted.
    fn means_a_real_account(&self) -> bool {
        self.stream.account.running.config.is_some()
            || self.stream.enterprise.enterprise
            || self.output.has_place()
    }

    /// Ends the program if there is another place for the position than the one that the output has.
    fn check_checkpoint(&self) {
        if !self.output.keeps_checkpoint() {
            return;
        }
        if self.checkpoint.is_some() {
            usage_error(
                "--checkpoint does not go with --to sqlite:FILE: the database keeps the position, in \
                 the transactions that store the events",
            );
        }
        #[cfg(feature = "blocking")]
        if self.blocking {
            usage_error("--blocking does not go with --to sqlite:FILE");
        }
    }

    /// Returns the name of the account, for an output that has the events of several accounts.
    fn account_name(&self, is_demo: bool) -> String {
        let name = if is_demo {
            Some("demo".into())
        } else {
            self.stream.account.name()
        };
        match name {
            Some(name) if self.stream.enterprise.enterprise => format!("enterprise of {name}"),
            Some(name) => name,
            None if self.stream.enterprise.enterprise => "enterprise".into(),
            None => "tail".into(),
        }
    }

    /// Returns whose events are followed, in words.
    fn followed(&self, is_demo: bool) -> String {
        let account = match self.stream.account.name() {
            _ if is_demo => "the demo's fake Box".into(),
            Some(name) => name,
            None => "the token's user".into(),
        };
        if self.stream.enterprise.enterprise {
            format!("the enterprise of {account}")
        } else {
            account
        }
    }

    /// Returns the start, unless there is a checkpoint.
    fn start(&self) -> StartAt {
        self.stream
            .enterprise
            .start()
            .unwrap_or(self.stream.from.clone())
    }

    /// Returns the events to follow. Box selects the types of an enterprise's events.
    fn events(&self, start: &StartAt) -> Events {
        let types = self.stream.filter.event_types();
        if let Some(query) = self.stream.enterprise.query(start) {
            Events::Past(query.event_types(types))
        } else if self.stream.enterprise.enterprise {
            Events::Enterprise(AdminLogsStreaming::default().event_types(types))
        } else {
            Events::User
        }
    }

    /// Returns the account of the fake Box that needs past events, if there is one.
    fn past_account(&self) -> Option<&str> {
        let account = self.stream.account.as_user.as_deref();
        self.stream
            .enterprise
            .enterprise
            .then(|| account.unwrap_or(DEMO_ACCOUNT))
    }

    /// Returns the client's settings. Ends the program if an argument is not a valid setting.
    fn settings(&self) -> LongPollClientBuilder {
        let settings = LongPollClient::builder()
            .stream_type(self.stream.stream_type.into())
            .page_limit(self.page_limit())
            .filter(self.stream.filter.filter());
        self.stream.account.settings(settings)
    }

    /// Returns the settings of a stream that ends at a time.
    fn settings_until(
        &self,
        until: Timestamp,
        settings: LongPollClientBuilder,
        events: &Events,
        mode: &Mode,
    ) -> LongPollClientBuilder {
        let settings = settings.max_staleness(UNTIL_STALENESS);
        // A kept position must not move past events that the next run would then miss. A query has
        // a position of its own.
        if matches!(events, Events::Past(_)) || !mode.keeps_position() {
            settings.filter(self.stream.filter.filter().created_at(..until))
        } else {
            settings
        }
    }

    /// Returns the maximum size of a page: no more events than `--count` says. A script may run the
    /// program with a small `--count` repeatedly, each time from the last position. If the pages
    /// had more events than `--count`, it would never get past the first page.
    fn page_limit(&self) -> u32 {
        let limit = self.output.page_limit();
        let wanted = self.count.and_then(|count| u32::try_from(count).ok());
        wanted.map_or(limit, |count| count.min(limit))
    }
}

/// Runs the command, and returns the exit code of the program.
pub(crate) async fn run(arguments: FollowArguments) -> ExitCode {
    arguments.check_checkpoint();
    let outlet = |transport: &Transport, account: &str| {
        let output = &arguments.output;
        output.outlet(transport, account, arguments.count)
    };
    follow(&arguments, outlet).await
}

/// Runs a command that follows a stream and does something else with its events.
pub(crate) async fn run_into(
    stream: StreamArguments,
    outlet: impl FnOnce(&Transport, &str) -> Result<Outlet, SinkError>,
) -> ExitCode {
    let arguments = FollowArguments {
        stream,
        checkpoint: None,
        count: None,
        #[cfg(feature = "blocking")]
        blocking: false,
        output: OutputArguments::default(),
        web: WebArguments::default(),
    };
    follow(&arguments, outlet).await
}

/// Follows the stream until it ends, and returns the exit code of the program. `outlet` creates the
/// outlet from the transport and the name of the account.
async fn follow(
    arguments: &FollowArguments,
    outlet: impl FnOnce(&Transport, &str) -> Result<Outlet, SinkError>,
) -> ExitCode {
    let until = arguments.stream.enterprise.until();
    let transport = match arguments.stream.account.transport() {
        Ok(transport) => transport,
        Err(error) => {
            return failure(&format!("cannot set up HTTP: {}", with_causes(&error)));
        }
    };
    let mut settings = arguments.settings();
    let (source, fake_box) = match arguments.account() {
        Account::Real(source) => (source, None),
        Account::Demo => (Source::demo(), Some(fake_box(arguments.past_account()))),
    };
    if let Some(fake_box) = &fake_box {
        settings = settings_of_demo(settings, fake_box);
    }
    let tokens = match source.tokens(arguments.stream.account.api.as_deref(), transport.clone()) {
        Ok(tokens) => tokens,
        Err(CredentialError::Argument(error)) => usage_error(&error),
        Err(CredentialError::CredentialFile(error)) => return failure(&with_causes(&error)),
    };
    let web = match arguments.web.web() {
        Ok(web) => web,
        Err(error) => return failure(&error),
    };
    let account = arguments.account_name(fake_box.is_some());
    let mut outlet = match outlet(&transport, &account) {
        Ok(outlet) => outlet,
        Err(error) => return failure(&with_causes(&error)),
    };
    if let Some(web) = &web {
        outlet = outlet.wrap(|sink| web.watch(sink, arguments.output.sink_name()));
    }
    let mode = match arguments.mode(&mut outlet, fake_box.is_some()).await {
        Ok(mode) => mode,
        Err(error) => return failure(&error),
    };
    let start = arguments.start();
    let events = arguments.events(&start);
    if let Some(until) = until {
        check_until(until, &start, &mode);
        settings = arguments.settings_until(until, settings, &events, &mode);
    }
    let mut report =
        Report::new(start.clone(), live(&events)).with_kept_position(mode.keeps_position());
    let followed = Followed {
        settings,
        user: arguments.stream.account.as_user.as_deref(),
        events,
    };
    let batches = match mode.batches(followed, transport, tokens.clone(), start) {
        Ok(batches) => batches,
        Err(error) if error.kind() == ErrorKind::Config => usage_error(&with_causes(&error)),
        Err(error) => return stopped(&report, &error),
    };
    let handle = batches.handle();
    let mut service = Service::of_environment();
    let journey = Journey {
        signals: Signals::new(outlet.can_reopen() || service.is_supervised()),
        service: &mut service,
        batches,
        outlet: &mut outlet,
        report: &mut report,
        until: until.and_then(|until| SystemTime::try_from(until).ok()),
        unsaved: None,
    };
    let followed = arguments.followed(fake_box.is_some());
    let journey = Box::pin(journey.run());
    let end = match web::run_beside(web, followed, handle.clone(), journey).await {
        Ok(end) => end,
        Err(error) => return failure(&format!("cannot start the web server: {error}")),
    };
    report::remove_status_line();
    service.stopping();
    flush(&*tokens).await;
    conclude(end, &mut report, &handle)
}

/// Prints the last lines, and returns the exit code.
fn conclude(end: End, report: &mut Report, handle: &StreamHandle) -> ExitCode {
    match end {
        End::OutputClosed => ExitCode::SUCCESS,
        End::Counted => {
            report.print_position();
            ExitCode::SUCCESS
        }
        End::Complete => {
            report.print_position();
            report::complete_until(handle.complete_until());
            ExitCode::SUCCESS
        }
        End::Interrupted | End::Terminated => {
            report::complete_until(handle.complete_until());
            report::print_line(&report.resume());
            match end {
                End::Terminated => ExitCode::SUCCESS,
                _ => ExitCode::from(exit_code::INTERRUPTED),
            }
        }
        End::Stopped(error) => stopped(report, &error),
        End::OutputFailed(error) => {
            let resume = report.resume();
            let error = with_causes(&error);
            failure(&format!("cannot write events: {error}; {resume}"))
        }
    }
}

/// Prints the error that stopped the stream, and returns its exit code.
fn stopped(report: &Report, error: &Error) -> ExitCode {
    failure(&report.stopped(error));
    exit_code::of(error.kind())
}

impl FollowArguments {
    /// Returns the account that would be followed. Ends the program if an argument is wrong. Sends
    /// no request, and opens no file that a running program may use.
    pub(crate) fn check(&self) -> &'static str {
        self.check_checkpoint();
        self.output.check();
        self.stream.enterprise.until();
        let settings = self.settings();
        if let Err(error) = settings.config() {
            usage_error(&with_causes(&error));
        }
        match self.account() {
            Account::Demo => "a fake Box inside the program",
            Account::Real(source) => {
                if let Err(error) = source.check() {
                    usage_error(&error);
                }
                if self.stream.enterprise.enterprise {
                    "the events of an enterprise"
                } else {
                    "the events of a user"
                }
            }
        }
    }

    /// Returns the way to keep the position, which the sink decides if it keeps a checkpoint. The
    /// fake Box of a demo knows no position of an earlier one.
    async fn mode(&self, outlet: &mut Outlet, is_demo: bool) -> Result<Mode, String> {
        if let Some(checkpoint) = outlet
            .checkpoint()
            .await
            .map_err(|error| with_causes(&error))?
        {
            return Ok(Mode::Stored(checkpoint.filter(|_| !is_demo).map(Box::new)));
        }
        #[cfg(feature = "blocking")]
        if self.blocking {
            return Ok(Mode::Blocking);
        }
        match &self.checkpoint {
            Some(file) => match CheckpointFile::open(file) {
                Ok(store) => Ok(Mode::Checkpoint(store)),
                Err(error) => Err(with_causes(&error)),
            },
            None => Ok(Mode::Plain),
        }
    }
}

/// Ends the program if it would end at once, without an event.
fn check_until(until: Timestamp, start: &StartAt, mode: &Mode) {
    if *start == StartAt::Now && until <= Timestamp::now() && !mode.keeps_position() {
        usage_error("--until has passed: say where to begin, with --since or --from");
    }
}

fn live(events: &Events) -> Live {
    match events {
        Events::Enterprise(_) | Events::Past(_) => Live::AtAnInterval,
        Events::User => Live::Listening,
    }
}

fn settings_of_demo(
    settings: LongPollClientBuilder,
    fake_box: &EmulatorServer,
) -> LongPollClientBuilder {
    settings
        .event_delay(DEMO_DELAY)
        .api_origin(fake_box.origin())
        .realtime_hosts(RealtimeHosts::default().allow_loopback())
}

/// Waits until a running exchange of a refresh token has ended, because otherwise the token is
/// lost. Another signal ends the wait.
pub(crate) async fn flush(tokens: &dyn TokenSource) {
    let mut signals = Signals::new(false);
    let mut flushed = pin!(tokens.flush());
    if timeout(Duration::from_secs(1), &mut flushed).await.is_err() {
        report::print_line("a refresh token is being exchanged: Ctrl-C now would lose it");
        tokio::select! {
            () = flushed => {}
            () = signals.end() => {}
        }
    }
}

impl From<Stream> for StreamType {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::All => StreamType::All,
            Stream::Changes => StreamType::Changes,
            Stream::Sync => StreamType::Sync,
        }
    }
}
