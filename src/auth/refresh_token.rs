//! The refresh token grant.
//!
//! A refresh token works once, so a lost response would end the user's authorization.
//! [`RefreshToken`] therefore stores its intent before each exchange, and the new token before its
//! first use. It keeps the credential in a [`CredentialStore`]. It caches no access token:
//! [`RefreshedTokens`] does that.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::credential::{Access, Credential, CredentialStore, LockedCredential};
use super::endpoint::{Application, Endpoint, Form, Granted, Refusal, TokenFailure};
use super::refreshed_tokens::{Grant, Issued, RefreshedTokens};
use super::secret::Secret;
use super::{AccessToken, TokenError, TokenErrorKind};
use crate::clock;
use crate::clock::Moment;
use crate::error::Error;
use crate::redact::Chain;
use crate::sys::lock;
use crate::telemetry::TOKEN;
use crate::transport::HttpTransport;

/// The waits between attempts to save a new credential, in seconds. They are an exponential backoff
/// of about a minute in total. A full disk or a short outage of a database may end within that
/// time.
const SAVE_AGAIN_AFTER: [u64; 6] = [1, 2, 4, 8, 16, 32];

/// The refresh token grant of OAuth 2.0, for a user who has authorized the application once.
///
/// A refresh token works once. Box exchanges it for the next one, and if that response is lost, so
/// is the next token. This grant therefore stores its intent in the [`CredentialStore`] before each
/// request, and stores the new token before its first use. If the process is killed at any moment,
/// the stored credential still works, with one exception: Box had exchanged the token, and the
/// process died before it stored the new one. The next use then fails with
/// [`TokenErrorKind::ReauthorizationRequired`].
///
/// Processes that share the store share the access token that any of them obtained.
///
/// A refresh token expires after 60 days without use. Before your program ends, await the client's
/// [`flush`](crate::LongPollClient::flush), so that no exchange is cut short.
///
/// See <https://developer.box.com/guides/authentication/oauth2/> and
/// <https://developer.box.com/guides/authentication/tokens/refresh/>.
///
/// ```no_run
/// use box_longpoll::auth::{Credential, CredentialFile, RefreshToken};
/// use box_longpoll::{HttpTransport, LongPollClient};
///
/// # fn client<T: HttpTransport + Clone>(
/// #     transport: T,
/// #     secret: String,
/// #     refresh_token: String,
/// # ) -> Result<LongPollClient<T>, Box<dyn std::error::Error>> {
/// let path = "ada.credential";
/// let file = if std::fs::exists(path)? {
///     CredentialFile::open(path)?
/// } else {
///     CredentialFile::create(path, &Credential::new(refresh_token)?)?
/// };
/// let tokens = RefreshToken::new("my-client-id", secret, file).tokens(transport.clone())?;
/// Ok(LongPollClient::new(transport, tokens))
/// # }
/// ```
#[must_use]
pub struct RefreshToken {
    application: Application,
    store: Arc<dyn CredentialStore>,
    /// A new credential that could not be saved yet.
    unsaved: Mutex<Option<Unsaved>>,
}

/// A credential that is not durable yet. Box has already invalidated the one in the store.
struct Unsaved {
    credential: Credential,
    /// The lock of the store, held until the credential is saved: nobody else may use the old one.
    store: Box<dyn LockedCredential>,
}

impl RefreshToken {
    /// Creates the grant from the id and the secret that Box's developer console shows, and from
    /// the store of the user's credential.
    ///
    /// The secret is never shown, and is zeroed when it is dropped.
    pub fn new(
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
        store: impl CredentialStore,
    ) -> Self {
        Self {
            application: Application::new(client_id.into(), Secret::new(client_secret.into())),
            store: Arc::new(store),
            unsaved: Mutex::default(),
        }
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
    /// Returns [`ErrorKind::Config`](crate::ErrorKind::Config) if the client id or the secret is
    /// empty, or if the origin is neither `https` nor loopback.
    pub fn tokens(self, transport: impl HttpTransport) -> Result<RefreshedTokens, Error> {
        let endpoint = self.application.endpoint(transport)?;
        Ok(RefreshedTokens::new(endpoint, Arc::new(self)))
    }

    /// Saves a new credential, and returns its access token once the credential is durable.
    ///
    /// This process has the only copy. If the store fails, this retries for about a minute, and
    /// then returns the error. The next caller continues with the same credential.
    async fn keep(&self, endpoint: &Endpoint, unsaved: Unsaved) -> Result<Issued, TokenError> {
        let Unsaved {
            credential,
            mut store,
        } = unsaved;
        let mut waits = SAVE_AGAIN_AFTER.into_iter().map(Duration::from_secs);
        while let Err(error) = store.save(&credential).await {
            tracing::error!(target: TOKEN, error = %Chain(&error), "could not save the new refresh token: only this process has it");
            let slept = match waits.next() {
                Some(wait) => endpoint.transport.sleep(wait).await.is_ok(),
                None => false,
            };
            if !slept {
                *lock(&self.unsaved) = Some(Unsaved { credential, store });
                // A permanent error would stop the stream. A program that ends then would lose the
                // token.
                return Err(error.into_transient());
            }
        }
        let expired = || TokenError::transient("the new access token has already expired");
        usable(&credential, None, endpoint.now()).ok_or_else(expired)
    }

    /// Exchanges the refresh token for the next one, and marks the stored credential for that time.
    async fn exchange(
        &self,
        endpoint: &Endpoint,
        mut store: Box<dyn LockedCredential>,
        credential: Credential,
    ) -> Result<Issued, TokenError> {
        let requested = endpoint.now();
        let exchanging_since = credential.exchanging_since;
        // The mark is saved again even if the credential has one. If an earlier save failed, or its
        // process was killed, that mark may not be durable.
        let marked = Credential {
            exchanging_since: exchanging_since.or(Some(requested.wall)),
            ..credential.clone()
        };
        store.save(&marked).await?;
        let form = Form::new("refresh_token", &self.application)
            .with_secret("refresh_token", credential.refresh_token());
        let failure = match endpoint.post(&form).await.0 {
            Ok(granted) => match successor(granted, requested) {
                Some(credential) => {
                    let unsaved = Unsaved { credential, store };
                    return self.keep(endpoint, unsaved).await;
                }
                None => TokenFailure::OutcomeUnknown(TokenError::transient(
                    "unexpected response from Box's token endpoint: no refresh token",
                )),
            },
            Err(TokenFailure::Refused(refusal)) if rejects_the_token(&refusal) => {
                return Err(authorize_again(&refusal, exchanging_since));
            }
            Err(failure) => failure,
        };
        if !matches!(failure, TokenFailure::OutcomeUnknown(_)) && exchanging_since.is_none() {
            // Box has not acted on the request, so the token still works. If this save fails, the
            // credential stays marked, although its token works.
            let _ = store.save(&credential).await;
        }
        Err(failure.into())
    }
}

#[async_trait]
impl Grant for RefreshToken {
    async fn obtain(
        &self,
        endpoint: &Endpoint,
        old: Option<&AccessToken>,
    ) -> Result<Issued, TokenError> {
        let unsaved = lock(&self.unsaved).take();
        if let Some(unsaved) = unsaved {
            return self.keep(endpoint, unsaved).await;
        }
        let mut store = self.store.lock().await?;
        let credential = store.load().await?;
        match usable(&credential, old, endpoint.now()) {
            Some(issued) => Ok(issued),
            None => self.exchange(endpoint, store, credential).await,
        }
    }

    async fn flush(&self, endpoint: &Endpoint) {
        let unsaved = lock(&self.unsaved).take();
        if let Some(unsaved) = unsaved {
            // A failure is logged.
            let _ = self.keep(endpoint, unsaved).await;
        }
    }
}

/// Returns the stored access token, if it is not `old` and not due for a refresh yet.
fn usable(credential: &Credential, old: Option<&AccessToken>, now: Moment) -> Option<Issued> {
    let access = credential.access.as_ref()?;
    let issued = Issued::before(access, now);
    (Some(&access.token) != old && !issued.is_due(now)).then_some(issued)
}

/// Returns the credential from a response, or `None` if the response has no refresh token. The
/// access token's life counts from the request.
fn successor(granted: Granted, requested: Moment) -> Option<Credential> {
    Some(Credential {
        refresh: granted.refresh?,
        access: requested
            .wall
            .checked_add(granted.life)
            .map(|until| Access {
                token: granted.access,
                issued: requested.wall,
                until,
            }),
        exchanging_since: None,
    })
}

/// Returns `true` if Box rejects the refresh token, and not the application or the request.
fn rejects_the_token(refusal: &Refusal) -> bool {
    ["invalid_grant", "invalid_credentials"].contains(&&*refusal.code)
}

/// Returns the error of a refresh token that no longer works. `exchanging_since` is the mark of an
/// earlier exchange without an outcome.
fn authorize_again(refusal: &Refusal, exchanging_since: Option<SystemTime>) -> TokenError {
    let sentence = match exchanging_since {
        Some(since) => format!(
            "the refresh token was exchanged at {}, but the response with the next one was lost: the user has to authorize the application again",
            clock::to_rfc3339(since)
        ),
        None => "Box no longer accepts the refresh token, because it was used elsewhere, revoked, or not used for 60 days: the user has to authorize the application again".to_owned(),
    };
    refusal.to_error(TokenErrorKind::ReauthorizationRequired, &sentence)
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken")
            .field("client_id", &self.application.id)
            .finish_non_exhaustive()
    }
}
