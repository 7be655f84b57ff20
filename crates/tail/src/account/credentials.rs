//! The arguments for access tokens, and the token source that they describe.
//!
//! [`Credentials`] are the arguments, [`Source`] is the one way to get tokens that they select, and
//! [`Source::tokens`] builds the library's token source. Secrets may also come from files, and from
//! the other places that [`config`](crate::config) knows. Other users of the machine can't see them
//! there. No error shows a secret.

use std::path::PathBuf;
use std::sync::Arc;

use box_longpoll::auth::TokenError;
use box_longpoll::auth::{ClientCredentials, CredentialFile, RefreshToken, Subject};
use box_longpoll::{AccessToken, Error, HttpTransport, TokenSource};
use clap::Args;

use super::secrets::{self, TokenFile};
use crate::cli::usage_error;
use crate::demo::DEMO_ACCOUNT;
use crate::report::with_causes;

/// The access token, or the credentials to get one
#[derive(Args)]
pub(crate) struct Credentials {
    /// The access token; prefer --token-file or `BOX_ACCESS_TOKEN`, which other users of this
    /// machine can't see
    #[arg(long, value_name = "TOKEN", value_parser = token, hide_env_values = true)]
    token: Option<AccessToken>,

    /// A file with the access token; the program reads it again if Box refuses the token
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,

    /// The id of the application; needs its secret, and --subject or --oauth-file
    #[arg(long, value_name = "ID", conflicts_with_all = ["token", "token_file"])]
    client_id: Option<String>,

    /// The secret of the application; prefer --client-secret-file or `BOX_CLIENT_SECRET`
    #[arg(
        long,
        value_name = "SECRET",
        requires = "client_id",
        conflicts_with_all = ["token", "token_file"],
        hide_env_values = true
    )]
    client_secret: Option<String>,

    /// A file with the secret of the application
    #[arg(
        long,
        value_name = "FILE",
        requires = "client_id",
        conflicts_with_all = ["token", "token_file", "client_secret"]
    )]
    client_secret_file: Option<PathBuf>,

    /// The account that the tokens stand for: `user:ID`, or `enterprise:ID` for the service account
    #[arg(long, value_name = "KIND:ID", conflicts_with_all = ["token", "token_file"])]
    subject: Option<Subject>,

    /// A file with a user's refresh token, `{"refresh_token": "…"}`; the program rewrites it
    /// whenever it exchanges the token
    #[arg(
        long,
        value_name = "FILE",
        requires = "client_id",
        conflicts_with_all = ["token", "token_file", "subject"]
    )]
    oauth_file: Option<PathBuf>,

    /// The JSON configuration file of an application with a key
    #[cfg(feature = "jwt")]
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "token", "token_file", "client_id", "client_secret", "client_secret_file", "oauth_file",
        ]
    )]
    jwt_config: Option<PathBuf>,
}

/// The way to get access tokens.
pub(crate) enum Source {
    /// A given token, which is never refreshed.
    Token(AccessToken),
    /// The token in this file, which another program refreshes.
    TokenFile(PathBuf),
    /// The client credentials grant of an application.
    ClientCredentials(Application, Subject),
    /// The refresh token of a user, in this file.
    RefreshToken(Application, PathBuf),
    /// The key of an application, in this file of Box's developer console.
    #[cfg(feature = "jwt")]
    Jwt(PathBuf, Option<Subject>),
}

/// The client id and the client secret of an application.
pub(crate) struct Application {
    id: String,
    secret: String,
}

impl Credentials {
    /// Returns the way to get access tokens, or `None` if there are no credentials. Ends the
    /// program if a part of them is missing.
    pub(crate) fn source(&self) -> Option<Source> {
        #[cfg(feature = "jwt")]
        if let Some(file) = &self.jwt_config {
            return Some(Source::Jwt(file.clone(), self.subject.clone()));
        }
        if let Some(application) = self.application() {
            return Some(match (&self.oauth_file, &self.subject) {
                (Some(file), _) => Source::RefreshToken(application, file.clone()),
                (None, Some(subject)) => Source::ClientCredentials(application, subject.clone()),
                (None, None) => usage_error(
                    "--client-id needs --subject user:ID or enterprise:ID, or --oauth-file FILE",
                ),
            });
        }
        if self.subject.is_some() {
            usage_error("--subject needs --client-id, or --jwt-config if that is compiled in");
        }
        let file = || self.token_file.clone().map(Source::TokenFile);
        self.token.clone().map(Source::Token).or_else(file)
    }

    /// Returns the account that the tokens stand for, if it is given.
    pub(super) fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// Returns the application, or `None` if there is no client id.
    fn application(&self) -> Option<Application> {
        let id = self.client_id.clone()?;
        let secret = match (&self.client_secret, &self.client_secret_file) {
            (Some(secret), _) => secret.clone(),
            (None, Some(file)) => secrets::read(file).unwrap_or_else(|error| usage_error(&error)),
            (None, None) => usage_error(
                "--client-id needs a secret: put it into BOX_CLIENT_SECRET, or into a file for \
                 --client-secret-file",
            ),
        };
        Some(Application { id, secret })
    }
}

/// Reads an access token.
fn token(text: &str) -> Result<AccessToken, Error> {
    AccessToken::new(text)
}

/// The reason why there is no token source.
pub(crate) enum CredentialError {
    /// An argument is wrong, for the reason in this text.
    Argument(String),
    /// The file with the user's refresh token can't be read.
    CredentialFile(TokenError),
}

impl Source {
    /// Returns the access token for the fake Box.
    pub(crate) fn demo() -> Self {
        Self::Token(AccessToken::new(DEMO_ACCOUNT).expect("it is visible ASCII"))
    }

    /// Returns an error if the secret can't be read from its file. Refresh tokens and keys are not
    /// read, because a running program may be exchanging the token.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::TokenFile(file) => TokenFile::open(file.clone()).map(drop),
            _ => Ok(()),
        }
    }

    /// Returns a description for people, without a secret.
    pub(crate) fn description(&self) -> String {
        match self {
            Self::Token(_) => "an access token, which is not refreshed".into(),
            Self::TokenFile(file) => format!("the access token in {}", file.display()),
            Self::ClientCredentials(_, subject) => format!("client credentials for {subject}"),
            Self::RefreshToken(_, file) => format!("the refresh token in {}", file.display()),
            #[cfg(feature = "jwt")]
            Self::Jwt(file, subject) => {
                let subject = subject.as_ref().map(|subject| format!(", for {subject}"));
                format!(
                    "the key in {}{}",
                    file.display(),
                    subject.unwrap_or_default()
                )
            }
        }
    }

    /// Creates the token source. Its requests go to `api` through `transport`.
    pub(crate) fn tokens(
        self,
        api: Option<&str>,
        transport: Arc<dyn HttpTransport>,
    ) -> Result<Arc<dyn TokenSource>, CredentialError> {
        let api = api.unwrap_or("https://api.box.com");
        Ok(match self {
            Self::Token(token) => Arc::new(token),
            Self::TokenFile(file) => {
                Arc::new(TokenFile::open(file).map_err(CredentialError::Argument)?)
            }
            Self::ClientCredentials(Application { id, secret }, subject) => Arc::new(
                ClientCredentials::new(id, secret, subject)
                    .api_origin(api)
                    .tokens(transport)?,
            ),
            Self::RefreshToken(Application { id, secret }, file) => {
                let file = CredentialFile::open(file).map_err(CredentialError::CredentialFile)?;
                let grant = RefreshToken::new(id, secret, file).api_origin(api);
                Arc::new(grant.tokens(transport)?)
            }
            #[cfg(feature = "jwt")]
            Self::Jwt(file, subject) => {
                let mut app = box_longpoll::auth::JwtBearer::from_file(file)?.api_origin(api);
                if let Some(subject) = subject {
                    app = app.subject(subject);
                }
                Arc::new(app.tokens(transport)?)
            }
        })
    }
}

impl From<Error> for CredentialError {
    fn from(error: Error) -> Self {
        Self::Argument(with_causes(&error))
    }
}
