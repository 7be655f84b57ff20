//! The grant of an application that has a key.

mod assertion;
mod key;
mod pem;
mod skew;
mod traditional;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use jiff::SignedDuration;
use serde::Deserialize;
use zeroize::Zeroizing;

pub use self::assertion::JwtAlgorithm;
use self::key::SigningKey;
use super::endpoint::{Answered, Application, Endpoint, Form, Refusal, TokenFailure};
use super::renewal::{Grant, Issued, RefreshedTokens};
use super::secret::Secret;
use super::{AccessToken, Subject, TokenError, TokenErrorKind, lock};
use crate::error::Error;
use crate::sys::atomic_file;
use crate::transport::HttpTransport;

/// The largest configuration file that is read; one has some 3 KB.
const MAX_CONFIGURATION: u64 = 64 * 1024;

/// An application with a key: the JWT grant, from the JSON configuration file that Box's developer console gives.
///
/// The key is an RSA key of 2,048 to 8,192 bits as PEM, in one of these formats:
///
/// | the PEM begins with | written by | encrypted with |
/// |---|---|---|
/// | `-----BEGIN ENCRYPTED PRIVATE KEY-----` | Box's developer console, OpenSSL 3 | PKCS#8's PBES2: Triple DES or AES, by PBKDF2 or scrypt |
/// | `-----BEGIN PRIVATE KEY-----` | OpenSSL 3 | nothing |
/// | `-----BEGIN RSA PRIVATE KEY-----` | OpenSSL before 3.0, macOS, `puttygen` | nothing, or Triple DES or AES (`DEK-Info`) |
///
/// White space around and between its lines does not matter, nor do line breaks that became spaces or are spelled `\n`. The
/// error for any other format names it, and the command that converts it.
///
/// The secret, the key and its passphrase are zeroed when they are dropped, and never shown; of a key that is not encrypted the
/// JSON parser leaves a copy.
///
/// An assertion is good for 30 s by Box's clock. Where this machine's is off, the `Date` of Box's answers corrects it.
///
/// See <https://developer.box.com/guides/authentication/jwt/>.
///
/// ```no_run
/// use box_longpoll::auth::{JwtBearer, Subject};
/// # use box_longpoll::{Error, HttpTransport, LongPollClient};
///
/// # fn client<T: HttpTransport + Clone>(transport: T) -> Result<LongPollClient<T>, Error> {
/// let tokens = JwtBearer::from_file("config.json")?
///     .subject(Subject::user("33333"))
///     .tokens(transport.clone())?;
/// Ok(LongPollClient::new(transport, tokens))
/// # }
/// ```
#[must_use]
pub struct JwtBearer {
    application: Application,
    key: SigningKey,
    key_id: String,
    algorithm: JwtAlgorithm,
    /// `None`: the configuration names no enterprise, and nobody named another subject.
    subject: Option<Subject>,
    /// How far Box's clock is ahead of this machine's.
    ahead: Mutex<SignedDuration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    box_app_settings: Settings,
    #[serde(rename = "enterpriseID")]
    enterprise_id: Option<EnterpriseId>,
}

/// The console writes a string; people who edit the file write a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum EnterpriseId {
    Text(String),
    Number(u64),
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

impl JwtBearer {
    /// Reads the configuration file, and decrypts the key.
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json), and where the file can't be read. The sentence names the file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let refused = |why: &dyn fmt::Display| Error::config(format!("{}: {why}", path.display()));
        let json = atomic_file::read(path, MAX_CONFIGURATION).map_err(|error| refused(&error))?;
        let json = json.ok_or_else(|| refused(&"there is no such file"))?;
        Self::from_json(&*Zeroizing::new(json)).map_err(|error| refused(&error))
    }

    /// From the text of that file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for what is no such configuration, and for a key that can't be read, or not with that passphrase.
    /// The sentence says which, and shows nothing of it.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, Error> {
        let json = json.as_ref();
        if json.starts_with(b"\xFF\xFE") || json.starts_with(b"\xFE\xFF") {
            let detail = "this is UTF-16, as Windows' PowerShell writes it; save the file as UTF-8";
            return Err(Error::config(detail));
        }
        let configuration: Configuration =
            crate::json::read(json).map_err(|error| {
                // Its own text may quote what is in the file.
                let detail = format!(
                    "this is not the JSON configuration of an application with a key, from line {}, column {} on",
                    error.line(),
                    error.column()
                );
                Error::config(detail)
            })?;
        let settings = configuration.box_app_settings;
        let auth = settings.app_auth;
        let enterprise = configuration.enterprise_id.map(|id| match id {
            EnterpriseId::Text(text) => text,
            EnterpriseId::Number(number) => number.to_string(),
        });
        Ok(Self {
            application: Application::new(settings.client_id, settings.client_secret),
            key: SigningKey::read(&auth.private_key, auth.passphrase.as_ref())?,
            key_id: auth.public_key_id,
            algorithm: JwtAlgorithm::default(),
            subject: enterprise.filter(|id| id != "0").map(Subject::enterprise),
            ahead: Mutex::default(),
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
        self.application.api_origin = origin.into();
        self
    }

    /// The token source. Nothing is sent before the first token is needed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an id or a secret that is empty, where there is no [`subject`](Self::subject), and for an
    /// origin that is not `https` or loopback.
    pub fn tokens(self, transport: impl HttpTransport) -> Result<RefreshedTokens, Error> {
        let endpoint = self.application.endpoint(transport)?;
        let rule = "the configuration names no enterprise: a subject is needed";
        let subject = self.subject.as_ref();
        subject.ok_or_else(|| Error::config(rule))?.check()?;
        Ok(RefreshedTokens::new(endpoint, Arc::new(self)))
    }

    async fn ask(&self, endpoint: &Endpoint) -> Result<Answered, TokenError> {
        let now = skew::corrected(endpoint.now().wall, *lock(&self.ahead));
        let assertion = self.assertion(now)?;
        let form = Form::new(
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            &self.application,
        )
        .with_secret("assertion", &assertion);
        Ok(endpoint.ask(&form).await)
    }

    /// What Box's clock says of this one, by the time on the answer to a request.
    fn notice(&self, server_time: SystemTime, asked: SystemTime, answered: SystemTime) -> Clock {
        let mut ahead = lock(&self.ahead);
        let there = [asked, answered].map(|here| skew::corrected(here, *ahead));
        if skew::ahead(there, server_time).is_zero() {
            return Clock::AsKnown;
        }
        *ahead = skew::ahead([asked, answered], server_time);
        let box_is_ahead_s = ahead.as_secs();
        tracing::warn!(box_is_ahead_s, "assertions follow Box's clock from now on");
        Clock::News
    }
}

/// What an answer says of Box's clock.
#[derive(PartialEq)]
enum Clock {
    Unknown,
    AsKnown,
    News,
}

#[async_trait]
impl Grant for JwtBearer {
    async fn obtain(
        &self,
        endpoint: &Endpoint,
        _old: Option<&AccessToken>,
    ) -> Result<Issued, TokenError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let asked = endpoint.now();
            let (outcome, server_time) = self.ask(endpoint).await?;
            let clock = match server_time {
                Some(time) => self.notice(time, asked.wall, endpoint.now().wall),
                None => Clock::Unknown,
            };
            let refusal = match outcome {
                Ok(granted) => return Ok(Issued::new(granted.access, asked, granted.life)),
                Err(TokenFailure::Refused(refusal)) if refusal.code == "invalid_grant" => refusal,
                Err(why) => return Err(why.into()),
            };
            // An assertion may have come too late, or twice, by no fault of its own.
            if tries == 2 || !(clock == Clock::News || names(&refusal, &TIME_AND_ID)) {
                return Err(refused(&refusal, &clock));
            }
        }
    }

    fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }
}

const TIME: [&str; 4] = ["exp", "iat", "nbf", "date/time"];
const TIME_AND_ID: [&str; 5] = ["exp", "iat", "nbf", "date/time", "jti"];

/// Whether Box names one of these, in quotes of one kind or the other.
fn names(refusal: &Refusal, known: &[&str]) -> bool {
    let said = refusal.description.as_deref().unwrap_or_default();
    said.split([' ', '"', '\'', '.', ',', ':'])
        .any(|word| known.contains(&word))
}

/// Which part of the assertion Box does not take, by the claim that it names.
fn refused(refusal: &Refusal, clock: &Clock) -> TokenError {
    if names(refusal, &TIME) && *clock == Clock::AsKnown {
        let sentence = "the assertion came too late";
        return refusal.says(TokenErrorKind::Transient, sentence);
    }
    if names(refusal, &TIME) {
        let sentence = "Box does not take the time of the assertion; this machine's clock is not right: set it";
        return refusal.says(TokenErrorKind::ClockSkew, sentence);
    }
    let sentence = if names(refusal, &["signature", "kid", "key"]) {
        "Box does not take the key; it is no longer, or never was, among the application's public keys in the developer console"
    } else if names(refusal, &["sub"]) {
        "Box does not take the subject; it is not the id of the application's enterprise, nor of a user that it may act for"
    } else {
        "Box refuses the assertion; compare the configuration file with the application in the developer console"
    };
    refusal.says(TokenErrorKind::InvalidGrant, sentence)
}

impl fmt::Debug for JwtBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtBearer")
            .field("client_id", &self.application.id)
            .field("subject", &self.subject)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
