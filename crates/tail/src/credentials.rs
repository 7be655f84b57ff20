//! What the program has to get access tokens with.

use std::env::{self, VarError};
use std::path::PathBuf;
use std::sync::Arc;

use box_longpoll::auth::TokenError;
use box_longpoll::auth::{ClientCredentials, CredentialFile, RefreshToken, Subject};
use box_longpoll::{AccessToken, Error, HttpTransport, TokenSource};
use clap::Args;

use crate::arguments::usage_error;
use crate::report::with_causes;

/// An access token, or what gives one
#[derive(Args)]
pub(crate) struct Credentials {
    /// The access token; better in `BOX_ACCESS_TOKEN`, where other users of this machine can't see it
    #[arg(long)]
    token: Option<String>,

    /// The id of the application, with its secret, and with --subject or --oauth-file
    #[arg(long, value_name = "ID", conflicts_with = "token")]
    client_id: Option<String>,

    /// The secret of the application; better in `BOX_CLIENT_SECRET`
    #[arg(long, value_name = "SECRET", requires = "client_id")]
    client_secret: Option<String>,

    /// Whom the tokens stand for: `user:ID`, or `enterprise:ID` for the service account
    #[arg(long, value_name = "KIND:ID", conflicts_with = "token")]
    subject: Option<Subject>,

    /// A user's refresh token: a file with `{"refresh_token": "…"}`, which is rewritten whenever the token is exchanged
    #[arg(long, value_name = "FILE", requires = "client_id", conflicts_with_all = ["token", "subject"])]
    oauth_file: Option<PathBuf>,

    /// The JSON configuration file of an application with a key
    #[cfg(feature = "jwt")]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["demo", "token", "client_id", "oauth_file"])]
    jwt_config: Option<PathBuf>,
}

/// What tokens come from.
pub(crate) enum Source {
    Token(Given),
    ClientCredentials(Application, Subject),
    RefreshToken(Application, PathBuf),
    #[cfg(feature = "jwt")]
    Jwt(PathBuf, Option<Subject>),
}

/// An access token, and what it was given by.
pub(crate) struct Given {
    token: String,
    by: &'static str,
}

pub(crate) struct Application {
    id: String,
    secret: String,
}

impl Credentials {
    /// What there is, if there is anything. Ends the program where a part is missing.
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
            usage_error("--subject needs --client-id, or --jwt-config where that is compiled in");
        }
        let given = |token, by| Source::Token(Given { token, by });
        match &self.token {
            Some(token) => Some(given(token.clone(), "--token")),
            None => environment(TOKEN).map(|token| given(token, TOKEN)),
        }
    }

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
/// If the variable is empty or not text, most likely a script failed to fill it: the program ends. Its error does not show
/// the value, which may be a secret.
fn environment(name: &str) -> Option<String> {
    match env::var(name) {
        Ok(value) if value.is_empty() => usage_error(&format!(
            "{name} is set, but empty: fill it, or unset it to do without"
        )),
        Ok(value) => Some(value),
        Err(VarError::NotPresent) => None,
        Err(VarError::NotUnicode(_)) => usage_error(&format!("{name} is not text")),
    }
}

/// Why there is no source of tokens.
pub(crate) enum Unusable {
    /// An argument is wrong, as this sentence says.
    Argument(String),
    /// The user's credential can't be read.
    CredentialFile(TokenError),
}

impl Source {
    /// The token of the fake Box.
    pub(crate) fn demo() -> Self {
        Self::Token(Given {
            token: "demo".into(),
            by: "--demo",
        })
    }

    pub(crate) fn tokens(
        self,
        api: Option<&str>,
        transport: Arc<dyn HttpTransport>,
    ) -> Result<Arc<dyn TokenSource>, Unusable> {
        let api = api.unwrap_or("https://api.box.com");
        Ok(match self {
            Self::Token(Given { token, by }) => match AccessToken::new(token) {
                Ok(token) => Arc::new(token),
                Err(error) => return Err(Unusable::Argument(format!("{by}: {error}"))),
            },
            Self::ClientCredentials(Application { id, secret }, subject) => Arc::new(
                ClientCredentials::new(id, secret, subject)
                    .api_origin(api)
                    .tokens(transport)?,
            ),
            Self::RefreshToken(Application { id, secret }, file) => {
                let file = CredentialFile::open(file).map_err(Unusable::CredentialFile)?;
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

impl From<Error> for Unusable {
    fn from(error: Error) -> Self {
        Self::Argument(with_causes(&error))
    }
}
