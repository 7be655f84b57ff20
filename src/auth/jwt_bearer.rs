//! The JWT grant.
//!
//! [`JwtBearer`] requests tokens with an assertion, a JSON web token that the application's private
//! key signs. It reads the configuration file and the key, and follows Box's clock if this
//! machine's is off. It caches no token: [`RefreshedTokens`] does that.

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
use super::endpoint::{Application, Endpoint, Form, Refusal, TokenFailure, TokenResponse};
use super::refreshed_tokens::{Grant, Issued, RefreshedTokens};
use super::secret::Secret;
use super::{AccessToken, Subject, TokenError, TokenErrorKind};
use crate::error::Error;
use crate::sys::atomic_file;
use crate::sys::lock;
use crate::telemetry::TOKEN;
use crate::transport::HttpTransport;

/// The largest configuration file that is read, 64 KiB. A usual one has about 3 KiB.
const MAX_CONFIGURATION: u64 = 64 * 1024;

/// The JWT grant, for an application with a private key.
///
/// It reads the JSON configuration file from Box's developer console. The key in it is an RSA key
/// of 2,048 to 8,192 bits as PEM, in one of these formats:
///
/// | the PEM begins with | written by | encrypted with |
/// |---|---|---|
/// | `-----BEGIN ENCRYPTED PRIVATE KEY-----` | Box's developer console, OpenSSL 3 | PKCS#8's PBES2: Triple DES or AES, by PBKDF2 or scrypt |
/// | `-----BEGIN PRIVATE KEY-----` | OpenSSL 3 | nothing |
/// | `-----BEGIN RSA PRIVATE KEY-----` | OpenSSL before 3.0, macOS, `puttygen` | nothing, or Triple DES or AES (`DEK-Info`) |
///
/// White space around and between the lines of the PEM does not matter. Line breaks may have become
/// spaces, or may be spelled `\n`. If the key has another format, the error names the format and
/// the command that converts it.
///
/// The client secret, the key and its passphrase are never shown, and are zeroed when they are
/// dropped. If the key is not encrypted, the JSON parser leaves a copy in memory.
///
/// Each token request carries an assertion: a JSON web token that the key signs, valid for 30 s by
/// Box's clock. If this machine's clock is off, the client learns Box's time from the `Date` header
/// of Box's responses, and uses that.
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
    /// Box's id of the public key, the assertion's `kid`.
    key_id: String,
    algorithm: JwtAlgorithm,
    /// `None` if the configuration names no enterprise and no subject was set.
    subject: Option<Subject>,
    /// The time by which Box's clock is ahead of this machine's.
    ahead: Mutex<SignedDuration>,
}

/// The JSON configuration file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    box_app_settings: Settings,
    #[serde(rename = "enterpriseID")]
    enterprise_id: Option<EnterpriseId>,
}

/// The id of an enterprise. The console writes a string; people who edit the file write a number.
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
    /// Returns [`ErrorKind::Config`](crate::ErrorKind::Config) if the file can't be read, is larger
    /// than 64 KiB, or has content that [`from_json`](Self::from_json) refuses. The error's text
    /// names the file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let refused = |why: &dyn fmt::Display| Error::config(format!("{}: {why}", path.display()));
        let json = atomic_file::read(path, MAX_CONFIGURATION).map_err(|error| refused(&error))?;
        let json = json.ok_or_else(|| refused(&"there is no such file"))?;
        Self::from_json(&*Zeroizing::new(json)).map_err(|error| refused(&error))
    }

    /// Reads the text of a configuration file, and decrypts the key.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Config`](crate::ErrorKind::Config) if the text is not such a
    /// configuration, if the key can't be read, or if the passphrase is wrong. The error's text
    /// says which, and shows nothing of the content.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, Error> {
        let json = json.as_ref();
        if json.starts_with(b"\xFF\xFE") || json.starts_with(b"\xFE\xFF") {
            let detail = "this is UTF-16, as Windows' PowerShell writes it: save the file as UTF-8";
            return Err(Error::config(detail));
        }
        let configuration: Configuration =
            crate::json::read(json).map_err(|error| {
                // The parser's own text may quote secrets from the file.
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

    /// Sets the account that the tokens act for. Default: the service account in the enterprise
    /// that the configuration names.
    pub fn subject(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Sets the algorithm that signs assertions. Default: [`JwtAlgorithm::Rs256`].
    pub fn algorithm(mut self, algorithm: JwtAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets the origin of Box's API. Default: `https://api.box.com`; see
    /// [`LongPollClientBuilder::api_origin`](crate::LongPollClientBuilder::api_origin).
    pub fn api_origin(mut self, origin: impl Into<String>) -> Self {
        self.application.api_origin = origin.into();
        self
    }

    /// Builds the token source. It sends nothing until the first token is needed.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Config`](crate::ErrorKind::Config) in these cases:
    ///
    /// - The client id or the secret is empty.
    /// - There is no [`subject`](Self::subject), or its id is empty or not visible ASCII.
    /// - The origin is neither `https` nor loopback.
    pub fn tokens(self, transport: impl HttpTransport) -> Result<RefreshedTokens, Error> {
        let endpoint = self.application.endpoint(transport)?;
        let rule = "the configuration names no enterprise: set a subject";
        let subject = self.subject.as_ref();
        subject.ok_or_else(|| Error::config(rule))?.check()?;
        Ok(RefreshedTokens::new(endpoint, Arc::new(self)))
    }

    /// Signs an assertion by Box's clock, and sends it once.
    async fn post_assertion(&self, endpoint: &Endpoint) -> Result<TokenResponse, TokenError> {
        let now = skew::corrected(endpoint.now().wall, *lock(&self.ahead));
        let assertion = self.assertion(now)?;
        let form = Form::new(
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            &self.application,
        )
        .with_secret("assertion", &assertion);
        Ok(endpoint.post(&form).await)
    }

    /// Compares Box's clock with the corrected local clock, and updates the correction if they
    /// differ.
    ///
    /// `server_time` is the `Date` of a response. `requested` and `responded` are the local times
    /// at which the request began and its response came.
    fn update_skew(
        &self,
        server_time: SystemTime,
        requested: SystemTime,
        responded: SystemTime,
    ) -> Clock {
        let mut ahead = lock(&self.ahead);
        let corrected = [requested, responded].map(|here| skew::corrected(here, *ahead));
        if skew::ahead(corrected, server_time).is_zero() {
            return Clock::Unchanged;
        }
        *ahead = skew::ahead([requested, responded], server_time);
        let box_is_ahead_s = ahead.as_secs();
        // The subscriber's code runs without the lock.
        drop(ahead);
        tracing::warn!(
            target: TOKEN,
            box_is_ahead_s,
            "the clock is off: assertions use Box's clock"
        );
        Clock::Corrected
    }
}

/// The result of a comparison with Box's clock.
#[derive(PartialEq)]
enum Clock {
    /// The response had no `Date`.
    Unknown,
    /// Box's clock agrees with the corrected local clock.
    Unchanged,
    /// The correction was updated just now.
    Corrected,
}

#[async_trait]
impl Grant for JwtBearer {
    async fn obtain(
        &self,
        endpoint: &Endpoint,
        _old: Option<&AccessToken>,
    ) -> Result<Issued, TokenError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let requested = endpoint.now();
            let (outcome, server_time) = self.post_assertion(endpoint).await?;
            let clock = match server_time {
                Some(time) => self.update_skew(time, requested.wall, endpoint.now().wall),
                None => Clock::Unknown,
            };
            let refusal = match outcome {
                Ok(granted) => return Ok(Issued::new(granted.access, requested, granted.life)),
                Err(TokenFailure::Refused(refusal)) if refusal.code == "invalid_grant" => refusal,
                Err(failure) => return Err(failure.into()),
            };
            // A new assertion helps if the clock was off, or if this one arrived too late or twice.
            if attempts == 2 || !(clock == Clock::Corrected || names(&refusal, &TIME_AND_ID)) {
                return Err(refused(&refusal, &clock));
            }
        }
    }

    fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }
}

/// The claims that Box names when it rejects the time of an assertion.
const TIME: [&str; 4] = ["exp", "iat", "nbf", "date/time"];
/// The same, and the claim that makes each assertion unique.
const TIME_AND_ID: [&str; 5] = ["exp", "iat", "nbf", "date/time", "jti"];

/// Returns `true` if Box's description has one of these words, in quotes or without.
fn names(refusal: &Refusal, known: &[&str]) -> bool {
    let said = refusal.description.as_deref().unwrap_or_default();
    said.split([' ', '"', '\'', '.', ',', ':'])
        .any(|word| known.contains(&word))
}

/// Returns the error of a rejected assertion, by the claim that Box names.
fn refused(refusal: &Refusal, clock: &Clock) -> TokenError {
    if names(refusal, &TIME) && *clock == Clock::Unchanged {
        let sentence = "the assertion arrived too late";
        return refusal.to_error(TokenErrorKind::Transient, sentence);
    }
    if names(refusal, &TIME) {
        let sentence = "Box does not accept the time of the assertion: this machine's clock is not right; set it";
        return refusal.to_error(TokenErrorKind::ClockSkew, sentence);
    }
    let sentence = if names(refusal, &["signature", "kid", "key"]) {
        "Box does not accept the key: it is not among the application's public keys in the developer console, or no longer"
    } else if names(refusal, &["sub"]) {
        "Box does not accept the subject: it must be the id of the application's enterprise, or of a user that the application may act for"
    } else {
        "Box refuses the assertion: compare the configuration file with the application in the developer console"
    };
    refusal.to_error(TokenErrorKind::InvalidGrant, sentence)
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
