//! [`AccountArguments`]: the account at Box, the way to get its access tokens, and the HTTP library.
//!
//! All commands that talk to Box have these arguments. The client's settings, the token source and
//! the transport follow from them. If an argument is wrong, the program ends before it sends a
//! request.

mod backend;
mod credentials;
mod realtime_hosts;
mod secrets;

use std::sync::Arc;

use box_longpoll::config::Config;
use box_longpoll::transport::TransportError;
use box_longpoll::{Error, HttpTransport, LongPollClient, LongPollClientBuilder};
use clap::{Args, ValueEnum as _};

pub(crate) use self::backend::Backend;
use self::credentials::Credentials;
pub(crate) use self::credentials::{CredentialError, Source};
use self::realtime_hosts::realtime_hosts;
use crate::cli::usage_error;
use crate::running::RunningArguments;

/// The transport over the HTTP library that was chosen.
pub(crate) type Transport = Arc<dyn HttpTransport>;

/// The account, and the way to it
#[derive(Args)]
#[command(next_help_heading = "Account")]
pub(crate) struct AccountArguments {
    /// The URL of Box's API, if it is not `https://api.box.com`; http is accepted for this machine
    /// only
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,

    #[command(flatten)]
    credentials: Credentials,

    /// Acts as the user with this id; the token's application, or its user, must have the right to
    /// do so
    #[arg(long, value_name = "ID")]
    pub(crate) as_user: Option<String>,

    /// The HTTP library; the default is the first one that is compiled in
    #[arg(long, value_enum)]
    backend: Option<Backend>,

    #[command(flatten)]
    pub(crate) running: RunningArguments,
}

impl AccountArguments {
    /// Returns the way to get access tokens, or `None` if there are no credentials. Ends the
    /// program if there is `--api` without them.
    pub(crate) fn source(&self) -> Option<Source> {
        let source = self.credentials.source();
        if source.is_none() && self.api.is_some() {
            usage_error(
                "--api needs an access token: put one into BOX_ACCESS_TOKEN (an emulator accepts \
                 any) or into a file for --token-file, or give the credentials to get one",
            );
        }
        source
    }

    /// Returns the HTTP library that is used, or `None` if none is compiled in.
    pub(crate) fn backend(&self) -> Option<Backend> {
        let first = || Backend::value_variants().first().copied();
        self.backend.or_else(first)
    }

    /// Sets the API's origin and the user in the settings of a client. Ends the program if one of
    /// them is not valid.
    pub(crate) fn settings(&self, mut settings: LongPollClientBuilder) -> LongPollClientBuilder {
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
    pub(crate) fn transport(&self) -> Result<Transport, TransportError> {
        match self.backend().map(Backend::transport) {
            Some(transport) => transport,
            None => usage_error(
                "no HTTP library is compiled in: build with --features reqwest, surf, or isahc",
            ),
        }
    }

    /// Returns the name of the account: the user, or else the subject of the grant. `None` if there is
    /// only an access token.
    pub(crate) fn name(&self) -> Option<String> {
        let user = self.as_user.as_ref().map(|id| format!("user:{id}"));
        user.or_else(|| self.credentials.subject().map(ToString::to_string))
    }

    /// Returns the client for the account.
    pub(crate) fn client(
        &self,
        settings: LongPollClientBuilder,
        transport: Transport,
        tokens: impl box_longpoll::TokenSource,
    ) -> Result<LongPollClient, Error> {
        let client = settings.build(transport, tokens)?;
        match &self.as_user {
            Some(user) => client.as_user(user),
            None => Ok(client),
        }
    }
}

/// Ends the program if the settings are invalid. `argument` is the one that was added last.
fn check(settings: Result<Config, Error>, argument: &str, value: &str) {
    if let Err(error) = settings {
        usage_error(&format!("{argument} {}: {error}", without_password(value)));
    }
}

/// Returns a URL in quotes, without a user and a password.
pub(crate) fn without_password(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("{:?}", format!("…@{rest}")),
        None => format!("{url:?}"),
    }
}
