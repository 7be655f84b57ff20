//! What the program is asked to do.

use std::path::PathBuf;
use std::sync::Arc;

use box_longpoll::checkpoint::{CheckpointError, CheckpointFile};
use box_longpoll::config::StreamType;
use box_longpoll::transport::TransportError;
use box_longpoll::{HttpTransport, LongPollClient, LongPollClientBuilder, StartAt};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, ValueEnum};

use crate::backend::Backend;
use crate::batches::Facade;
use crate::credentials::{Credentials, Source};
use crate::realtime_hosts::realtime_hosts;

/// Box's own largest page.
const MAX_PAGE: u32 = 500;

/// Shows what happens in a Box account, as it happens
#[derive(Parser)]
#[command(name = "box-tail", version, long_about = include_str!("about.txt").trim_end())]
pub(crate) struct Arguments {
    /// Where Box's API is, if not at `https://api.box.com`; http is for this machine only
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,

    /// Shows a fake Box inside the program, also where there is an access token
    #[arg(long, conflicts_with_all = ["api", "token", "client_id", "subject"])]
    demo: bool,

    #[command(flatten)]
    credentials: Credentials,

    /// Acts as this user, which the application or its user must have the right to
    #[arg(long, value_name = "ID")]
    as_user: Option<String>,

    /// Where to start: `now`, `oldest`, or the P of a line `position P`
    #[arg(long, value_name = "POSITION", default_value = "now")]
    pub(crate) from: StartAt,

    /// Keeps where it is in this file, and goes on there; `--from` counts only where there is no such file yet. A file of
    /// another `--as-user` or `--subject` is refused; whose account a token alone is of can't be known
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,

    /// Which events
    #[arg(long, value_enum, default_value_t)]
    stream_type: Stream,

    /// Ends after N events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Writes each event as Box's own JSON, on one line
    #[arg(long)]
    pub(crate) json: bool,

    /// The HTTP library, of those that are compiled in; without this the first of them
    #[arg(long, value_enum)]
    backend: Option<Backend>,

    /// Follows with the client for programs without async
    #[cfg(feature = "blocking")]
    #[arg(long, conflicts_with = "checkpoint")]
    blocking: bool,
}

/// The stream types that Box has long polling for.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Stream {
    /// Everything the user sees happen
    #[default]
    All,
    /// What may change the tree of files and folders
    Changes,
    /// The same, for synced folders only
    Sync,
}

/// Whose events are shown.
pub(crate) enum Account {
    /// A real one.
    Real(Source),
    /// One of a fake Box.
    Demo,
}

impl Arguments {
    /// Whose events to show. Ends the program where there is an API but no token for it, and where the account of a
    /// checkpoint would end with the program.
    pub(crate) fn account(&self) -> Account {
        let source = if self.demo {
            None
        } else {
            self.credentials.source()
        };
        match source {
            Some(source) => Account::Real(source),
            None if self.api.is_some() => usage_error(
                "--api needs an access token: put one into BOX_ACCESS_TOKEN, or give one with --token (an emulator takes any), or what gives one",
            ),
            None if self.checkpoint.is_some() => usage_error(
                "--checkpoint needs an account that is there in the next run, and the fake Box of the demo ends with the program: put an access token into BOX_ACCESS_TOKEN, and leave out --demo",
            ),
            None => Account::Demo,
        }
    }

    /// The client's settings. Ends the program where an argument can't be one.
    pub(crate) fn settings(&self) -> LongPollClientBuilder {
        let mut settings = LongPollClient::builder()
            .stream_type(self.stream_type.into())
            .page_limit(self.page_limit());
        if let Some(api) = &self.api {
            settings = settings
                .api_origin(api)
                .realtime_hosts(realtime_hosts(Some(api)));
            check(&settings, "--api", api);
        }
        if let Some(user) = &self.as_user {
            settings = settings.as_user(user);
            check(&settings, "--as-user", user);
        }
        settings
    }

    /// What carries the requests. Ends the program where no HTTP library is compiled in.
    pub(crate) fn transport(&self) -> Result<Arc<dyn HttpTransport>, TransportError> {
        let first = Backend::value_variants().first().copied();
        match self.backend.or(first).map(Backend::transport) {
            Some(transport) => transport,
            None => usage_error(
                "no HTTP library is compiled in: build with --features reqwest, surf, or isahc",
            ),
        }
    }

    /// Opens the checkpoint, if there is to be one.
    pub(crate) fn facade(&self) -> Result<Facade, CheckpointError> {
        #[cfg(feature = "blocking")]
        if self.blocking {
            return Ok(Facade::Blocking);
        }
        match &self.checkpoint {
            Some(file) => CheckpointFile::open(file).map(Facade::Checkpoint),
            None => Ok(Facade::Async),
        }
    }

    /// Pages hold no more events than are wanted. With larger ones a program that asks for a few events again and
    /// again, each time from the last position, would not get past the first page.
    fn page_limit(&self) -> u32 {
        let wanted = self.count.and_then(|count| u32::try_from(count).ok());
        wanted.map_or(MAX_PAGE, |count| count.min(MAX_PAGE))
    }
}

/// Ends the program where the settings are wrong since the argument was added.
fn check(settings: &LongPollClientBuilder, argument: &str, value: &str) {
    if let Err(error) = settings.clone().config() {
        usage_error(&format!("{argument} {}: {error}", shown(value)));
    }
}

/// Returns a URL in quotes, without the password that it may hold.
fn shown(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("{:?}", format!("…@{rest}")),
        None => format!("{url:?}"),
    }
}

/// Ends the program as clap does when an argument is wrong.
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
