//! The arguments for access tokens, and the token source that they describe.
//!
//! [`Credentials`] are the arguments, [`Source`] is the one way to get tokens that they select, and
//! [`Source::tokens`] builds the library's token source. Secrets may also come from environment
//! variables, which other users of the machine cannot see. No error shows a secret.

use std::env::{self, VarError};
use std::path::PathBuf;
use std::sync::Arc;

use box_longpoll::auth::TokenError;
use box_longpoll::auth::{ClientCredentials, CredentialFile, RefreshToken, Subject};
use box_longpoll::{AccessToken, Error, HttpTransport, TokenSource};
use clap::Args;

use crate::cli::usage_error;
use crate::demo::DEMO_ACCOUNT;
use crate::report::with_causes;

/// The access token, or the credentials to get one
#[derive(Args)]
pub(crate) struct Credentials {
    /// The access token; prefer `BOX_ACCESS_TOKEN`, which other users of this machine can't see
    #[arg(long)]
    token: Option<String>,

    /// The id of the application; needs its secret, and --subject or --oauth-file
    #[arg(long, value_name = "ID", conflicts_with = "token")]
    client_id: Option<String>,

    /// The secret of the application; prefer `BOX_CLIENT_SECRET`
    #[arg(long, value_name = "SECRET", requires = "client_id")]
    client_secret: Option<String>,

    /// The account that the tokens stand for: `user:ID`, or `enterprise:ID` for the service account
    #[arg(long, value_name = "KIND:ID", conflicts_with = "token")]
    subject: Option<Subject>,

    /// A file with a user's refresh token, `{"refresh_token": "…"}`; the program rewrites it
    /// whenever it exchanges the token
    #[arg(long, value_name = "FILE", requires = "client_id", conflicts_with_all = ["token", "subject"])]
    oauth_file: Option<PathBuf>,

    /// The JSON configuration file of an application with a key
    #[cfg(feature = "jwt")]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["demo", "token", "client_id", "oauth_file"])]
    jwt_config: Option<PathBuf>,
}

/// The way to get access tokens.
pub(crate) enum Source {
    /// A given token, which is never refreshed.
    Token(GivenToken),
    /// The client credentials grant of an application.
    ClientCredentials(Application, Subject),
    /// The refresh token of a user, in this file.
    RefreshToken(Application, PathBuf),
    /// The key of an application, in this file of Box's developer console.
    #[cfg(feature = "jwt")]
    Jwt(PathBuf, Option<Subject>),
}

/// An access token that was given directly.
pub(crate) struct GivenToken {
    token: String,
    /// The argument or the environment variable that has the token, for errors.
    origin: &'static str,
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
        let given = |token, origin| Source::Token(GivenToken { token, origin });
        match &self.token {
            Some(token) => Some(given(token.clone(), "--token")),
            None => environment(TOKEN).map(|token| given(token, TOKEN)),
        }
    }

    /// Returns the account that the tokens stand for, if it is given.
    pub(super) fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// Returns the application, or `None` if there is no client id.
    fn application(&self) -> Option<Application> {
        let id = self.client_id.clone()?;
        let secret = self.client_secret.clone();
        match secret.or_else(|| environment("BOX_CLIENT_SECRET")) {
            Some(secret) => Some(Application { id, secret }),
            None => usage_error("--client-id needs a secret: put it into BOX_CLIENT_SECRET"),
        }
    }
}

const TOKEN: &str = "BOX_ACCESS_TOKEN";

/// Returns the value of an environment variable, or `None` if it is not set.
///
/// If the variable is empty or not text, most likely a script failed to fill it, so the program
/// ends. The error does not show the value, which may be a secret.
fn environment(name: &str) -> Option<String> {
    match env::var(name) {
        Ok(value) if value.is_empty() => usage_error(&format!(
            "{name} is set, but empty: give it a value, or unset it"
        )),
        Ok(value) => Some(value),
        Err(VarError::NotPresent) => None,
        Err(VarError::NotUnicode(_)) => usage_error(&format!("{name} is not text")),
    }
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
        Self::Token(GivenToken {
            token: DEMO_ACCOUNT.into(),
            origin: "--demo",
        })
    }

    /// Returns a description for people, without a secret.
    pub(crate) fn description(&self) -> String {
        match self {
            Self::Token(GivenToken { origin, .. }) => {
                format!("an access token from {origin}, which is not refreshed")
            }
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
            Self::Token(GivenToken { token, origin }) => match AccessToken::new(token) {
                Ok(token) => Arc::new(token),
                Err(error) => return Err(CredentialError::Argument(format!("{origin}: {error}"))),
            },
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
