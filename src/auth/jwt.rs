//! The grant of an application that has a key.

mod assertion;
mod key;

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::Deserialize;
use zeroize::Zeroizing;

use self::assertion::Claims;
pub use self::assertion::JwtAlgorithm;
use self::key::SigningKey;
use super::endpoint::{Answered, Application, Endpoint, Form, NoTokens, Origin, Refusal};
use super::renewed::{Grant, Issued, RenewedTokens};
use super::secret::Secret;
use super::{AccessToken, Subject, TokenError, TokenErrorKind, lock};
use crate::error::{Error, ErrorKind};
use crate::transport::HttpTransport;

/// A clock that is off by more than this is not set right; an answer's `Date` has whole seconds, and comes late.
const NOTICED: Duration = Duration::from_secs(3);

/// An application with a key: the JWT grant, from the JSON configuration file that Box's developer console gives.
///
/// The key may be encrypted, as Box's own are: PKCS#8 with PBES2, by Triple DES and SHA-1 or by AES and SHA-2. The secret, the
/// key and its passphrase are zeroed when they are dropped, and never shown.
///
/// An assertion is good for 30 s by Box's clock. Where this machine's is off, the `Date` of Box's answers corrects it.
///
/// See <https://developer.box.com/guides/authentication/jwt/>.
///
/// ```no_run
/// use box_longpoll::auth::{JwtApp, Subject};
/// # use box_longpoll::{Error, HttpTransport, LongPollClient};
///
/// # fn client<T: HttpTransport + Clone>(transport: T) -> Result<LongPollClient<T>, Error> {
/// let tokens = JwtApp::from_file("config.json")?
///     .subject(Subject::user("33333"))
///     .tokens(transport.clone())?;
/// Ok(LongPollClient::new(transport, tokens))
/// # }
/// ```
#[must_use]
pub struct JwtApp {
    application: Application,
    key: Arc<SigningKey>,
    key_id: String,
    algorithm: JwtAlgorithm,
    /// `None`: the configuration names no enterprise, and nobody named another subject.
    subject: Option<Subject>,
    origin: Origin,
    /// How far Box's clock is from this machine's.
    skew: Mutex<Skew>,
}

/// Box's clock, seen from this machine's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Skew {
    #[default]
    Unnoticed,
    Ahead(Duration),
    Behind(Duration),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    box_app_settings: Settings,
    #[serde(rename = "enterpriseID")]
    enterprise_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    #[serde(rename = "clientID")]
    client_id: String,
    client_secret: Secret,
    app_auth: AppAuth,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AppAuth {
    #[serde(rename = "publicKeyID")]
    public_key_id: String,
    private_key: Secret,
    passphrase: Option<Secret>,
}

impl JwtApp {
    /// Reads the configuration file, and decrypts the key.
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json), and where the file can't be read. The sentence names the file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let refused = |why: &dyn fmt::Display| {
            Error::new(ErrorKind::Config, format!("{}: {why}", path.display()))
        };
        let json = fs::read(path).map(Zeroizing::new);
        Self::from_json(&*json.map_err(|error| refused(&error))?).map_err(|error| refused(&error))
    }

    /// From the text of that file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for what is no such configuration, and for a key that can't be read, or not with that passphrase.
    /// The sentence says which, and shows nothing of it.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, Error> {
        let configuration: Configuration =
            serde_json::from_slice(json.as_ref()).map_err(|error| {
                // Its own text may quote what is in the file.
                let detail = format!(
                    "this is not the JSON configuration of an application with a key, from line {}, column {} on",
                    error.line(),
                    error.column()
                );
                Error::new(ErrorKind::Config, detail)
            })?;
        let Settings {
            client_id,
            client_secret,
            app_auth,
        } = configuration.box_app_settings;
        let enterprise = configuration.enterprise_id.filter(|id| *id != "0");
        Ok(Self {
            key: Arc::new(SigningKey::read(
                &app_auth.private_key,
                app_auth.passphrase.as_ref(),
            )?),
            application: Application {
                id: client_id,
                secret: client_secret,
            },
            key_id: app_auth.public_key_id,
            algorithm: JwtAlgorithm::default(),
            subject: enterprise.map(Subject::enterprise),
            origin: Origin::default(),
            skew: Mutex::default(),
        })
    }

    /// Whom the token stands for. Default: the service account in the enterprise that the configuration names.
    pub fn subject(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }

    /// How assertions are signed. Default: [`JwtAlgorithm::Rs256`].
    pub fn algorithm(mut self, algorithm: JwtAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Where Box's API is; see [`LongPollClientBuilder::api_origin`](crate::LongPollClientBuilder::api_origin).
    pub fn api_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Origin::at(origin);
        self
    }

    /// The token source. Nothing is sent before the first token is needed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for an id or a secret that is empty, where there is no [`subject`](Self::subject), and for an
    /// origin that is not `https` or loopback.
    pub fn tokens(self, transport: impl HttpTransport) -> Result<RenewedTokens, Error> {
        self.application.check()?;
        let rule = "the configuration names no enterprise: a subject is needed";
        let subject = self.subject.as_ref();
        subject
            .ok_or_else(|| Error::new(ErrorKind::Config, rule))?
            .check()?;
        let endpoint = Endpoint::new(Arc::new(transport), &self.origin)?;
        Ok(RenewedTokens::new(endpoint, Arc::new(self)))
    }

    async fn ask(&self, endpoint: &Endpoint) -> Result<Answered, TokenError> {
        let now = lock(&self.skew).corrected(endpoint.now().wall);
        let subject = self.subject.as_ref().expect("it was checked");
        let claims = Claims::new(&self.application.id, subject, endpoint.audience(), now)?;
        let assertion = claims.signed(&self.key, &self.key_id, self.algorithm)?;
        let form = Form::new(
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            &self.application,
        )
        .with_secret("assertion", &assertion);
        Ok(endpoint.ask(&form).await)
    }

    /// Takes note of the time on an answer. Returns whether it says something new.
    fn notice(&self, server_time: SystemTime, now: SystemTime) -> bool {
        let skew = Skew::between(now, server_time);
        let mut known = lock(&self.skew);
        let news = Skew::between(known.corrected(now), server_time) != Skew::Unnoticed;
        if news {
            tracing::warn!("this machine's clock is {skew}; assertions go by Box's");
            *known = skew;
        }
        news
    }
}

#[async_trait]
impl Grant for JwtApp {
    async fn obtain(
        &self,
        endpoint: &Endpoint,
        _old: Option<&AccessToken>,
    ) -> Result<Issued, TokenError> {
        let mut asked = endpoint.now();
        let mut answered = self.ask(endpoint).await?;
        if let Some(time) = answered.server_time
            && self.notice(time, endpoint.now().wall)
            && matches!(answered.outcome, Err(NoTokens::Refused(_)))
        {
            asked = endpoint.now();
            answered = self.ask(endpoint).await?;
        }
        match answered.outcome {
            Ok(granted) => Ok(Issued::new(granted.access, asked, granted.life)),
            Err(NoTokens::Refused(refusal)) if refusal.code == "invalid_grant" => {
                Err(refused(&refusal))
            }
            Err(why) => Err(why.into()),
        }
    }
}

/// Which part of the assertion Box does not take, by the claim that it names.
fn refused(refusal: &Refusal) -> TokenError {
    let said = refusal.description.as_deref().unwrap_or_default();
    // In quotes of one kind or the other.
    let words: Vec<&str> = said.split([' ', '"', '\'', '.', ',', ':']).collect();
    let names = |known: &[&str]| known.iter().any(|known| words.contains(known));
    if names(&["exp", "iat", "nbf", "date/time"]) {
        let sentence = "Box does not take the time of the assertion; this machine's clock is not right: set it";
        return refusal.says(TokenErrorKind::ClockSkew, sentence);
    }
    let sentence = if names(&["signature", "kid", "key"]) {
        "Box does not take the key; it is no longer, or never was, among the application's public keys in the developer console"
    } else if names(&["sub"]) {
        "Box does not take the subject; it is not the id of the application's enterprise, nor of a user that it may act for"
    } else {
        "Box refuses the assertion; compare the configuration file with the application in the developer console"
    };
    refusal.says(TokenErrorKind::InvalidGrant, sentence)
}

impl Skew {
    fn between(here: SystemTime, there: SystemTime) -> Self {
        let (skew, distance) = match there.duration_since(here) {
            Ok(ahead) => (Self::Ahead(ahead), ahead),
            Err(behind) => (Self::Behind(behind.duration()), behind.duration()),
        };
        if distance > NOTICED {
            skew
        } else {
            Self::Unnoticed
        }
    }

    fn corrected(self, here: SystemTime) -> SystemTime {
        let there = match self {
            Self::Unnoticed => Some(here),
            Self::Ahead(by) => here.checked_add(by),
            Self::Behind(by) => here.checked_sub(by),
        };
        there.unwrap_or(here)
    }
}

/// Of this machine's clock.
impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnoticed => f.write_str("right"),
            Self::Ahead(by) => write!(f, "{} s behind Box's", by.as_secs()),
            Self::Behind(by) => write!(f, "{} s ahead of Box's", by.as_secs()),
        }
    }
}

impl fmt::Debug for JwtApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtApp")
            .field("client_id", &self.application.id)
            .field("subject", &self.subject)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
