//! The command line: [`Arguments`], and the settings, the account and the transport that follow
//! from it.
//!
//! If an argument is wrong, the program ends with an error like clap's own, before it sends a
//! request. The arguments for access tokens are in the module `credentials`, those of an enterprise
//! in `enterprise_arguments`, and those that select events in `filter_arguments`.

use std::path::PathBuf;
use std::sync::Arc;

use box_longpoll::checkpoint::{CheckpointError, CheckpointFile};
use box_longpoll::config::{Config, StreamType};
use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::transport::TransportError;
use box_longpoll::{Error, HttpTransport, LongPollClient, LongPollClientBuilder, StartAt};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, ValueEnum};

use crate::backend::Backend;
use crate::batches::FollowMode;
use crate::credentials::{Credentials, Source};
use crate::enterprise_arguments::EnterpriseArguments;
use crate::filter_arguments::FilterArguments;
use crate::realtime_hosts::realtime_hosts;

/// The maximum size of a page at Box, in events.
const MAX_PAGE: u32 = 500;

/// Shows the events of a Box account as they happen
#[derive(Parser)]
#[command(name = "box-tail", version, long_about = include_str!("about.txt").trim_end())]
pub(crate) struct Arguments {
    /// The URL of Box's API, if it is not `https://api.box.com`; http is accepted for this machine
    /// only
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,

    /// Shows the events of a fake Box inside the program, even if there is an access token
    #[arg(long, conflicts_with_all = ["api", "token", "client_id", "subject"])]
    demo: bool,

    #[command(flatten)]
    credentials: Credentials,

    /// Acts as the user with this id; the token's application, or its user, must have the right to
    /// do so
    #[arg(long, value_name = "ID")]
    pub(crate) as_user: Option<String>,

    /// The start: `now`, `oldest`, or the P of a line `position P`
    #[arg(long, value_name = "POSITION", default_value = "now")]
    from: StartAt,

    /// Keeps the position in this file, and resumes there; `--from` and `--since` count only if the
    /// file does not exist yet. A file of another `--as-user` or `--subject` is refused; with an access token
    /// alone, the account cannot be checked
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,

    /// The events to show
    #[arg(long, value_enum, default_value_t)]
    stream_type: Stream,

    /// Ends after N events; pages have no more events than that, so with a filter a long backlog takes
    /// long
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Writes each event as Box's own JSON, on one line
    #[arg(long)]
    pub(crate) json: bool,

    /// The HTTP library; the default is the first one that is compiled in
    #[arg(long, value_enum)]
    backend: Option<Backend>,

    /// Uses the blocking client instead of the async one
    #[cfg(feature = "blocking")]
    #[arg(long, conflicts_with = "checkpoint")]
    blocking: bool,

    #[command(flatten)]
    enterprise: EnterpriseArguments,

    #[command(flatten)]
    filter: FilterArguments,
}

/// The stream types for which Box supports long polling.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Stream {
    /// All events that the user sees
    #[default]
    All,
    /// Only events that may change the tree of files and folders
    Changes,
    /// Only such events in synced folders
    Sync,
}

/// The account whose events are shown.
pub(crate) enum Account {
    /// A real account, with the source of its access tokens.
    Real(Source),
    /// An account of the fake Box inside the program.
    Demo,
}

impl Arguments {
    /// Returns the account whose events to show. Ends the program if there is `--api` without a
    /// token, or `--checkpoint` without a real account: the fake Box does not outlive the program.
    pub(crate) fn account(&self) -> Account {
        let source = if self.demo {
            None
        } else {
            self.credentials.source()
        };
        match source {
            Some(source) => Account::Real(source),
            None if self.api.is_some() => usage_error(
                "--api needs an access token: put one into BOX_ACCESS_TOKEN, or use --token (an \
                 emulator accepts any), or give the credentials to get one",
            ),
            None if self.checkpoint.is_some() => usage_error(
                "--checkpoint needs an account that still exists in the next run, and the fake Box \
                 of the demo ends with the program: put an access token into BOX_ACCESS_TOKEN, and \
                 leave out --demo",
            ),
            None => Account::Demo,
        }
    }

    /// Returns the start, unless there is a checkpoint.
    pub(crate) fn start(&self) -> StartAt {
        self.enterprise.start().unwrap_or(self.from.clone())
    }

    /// Returns the settings for the events of an enterprise, if they are to be shown. Box selects
    /// their types.
    pub(crate) fn enterprise(&self) -> Option<AdminLogsStreaming> {
        let streaming = || AdminLogsStreaming::default().event_types(self.filter.event_types());
        self.enterprise.enterprise.then(streaming)
    }

    /// Returns the client's settings. Ends the program if an argument is not a valid setting.
    pub(crate) fn settings(&self) -> LongPollClientBuilder {
        let mut settings = LongPollClient::builder()
            .stream_type(self.stream_type.into())
            .page_limit(self.page_limit())
            .filter(self.filter.filter());
        if let Some(api) = &self.api {
            settings = settings
                .api_origin(api)
                .realtime_hosts(realtime_hosts(Some(api)));
            check(settings.clone().config(), "--api", api);
        }
        if let Some(user) = &self.as_user {
            let config = settings.clone().config();
            check(
                config.and_then(|config| config.as_user(user)),
                "--as-user",
                user,
            );
        }
        settings
    }

    /// Returns the transport for all requests. Ends the program if no HTTP library is compiled in.
    pub(crate) fn transport(&self) -> Result<Arc<dyn HttpTransport>, TransportError> {
        let first = Backend::value_variants().first().copied();
        match self.backend.or(first).map(Backend::transport) {
            Some(transport) => transport,
            None => usage_error(
                "no HTTP library is compiled in: build with --features reqwest, surf, or isahc",
            ),
        }
    }

    /// Returns the way to follow the account, with the checkpoint file if there is one.
    pub(crate) fn mode(&self) -> Result<FollowMode, CheckpointError> {
        #[cfg(feature = "blocking")]
        if self.blocking {
            return Ok(FollowMode::Blocking);
        }
        match &self.checkpoint {
            Some(file) => CheckpointFile::open(file).map(FollowMode::Checkpoint),
            None => Ok(FollowMode::Async),
        }
    }

    /// Returns the maximum size of a page: no more events than `--count` says. A script may run the
    /// program with a small `--count` repeatedly, each time from the last position. If the pages
    /// had more events than `--count`, it would never get past the first page.
    fn page_limit(&self) -> u32 {
        let wanted = self.count.and_then(|count| u32::try_from(count).ok());
        wanted.map_or(MAX_PAGE, |count| count.min(MAX_PAGE))
    }
}

/// Ends the program if the settings are invalid. `argument` is the one that was added last.
fn check(settings: Result<Config, Error>, argument: &str, value: &str) {
    if let Err(error) = settings {
        usage_error(&format!("{argument} {}: {error}", without_password(value)));
    }
}

/// Returns a URL in quotes, without a user and a password.
fn without_password(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("{:?}", format!("…@{rest}")),
        None => format!("{url:?}"),
    }
}

/// Ends the program in the same way as clap does if an argument is wrong.
pub(crate) fn usage_error(sentence: &str) -> ! {
    Arguments::command()
        .error(ErrorKind::ValueValidation, sentence)
        .exit()
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
