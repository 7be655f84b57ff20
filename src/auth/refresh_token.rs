//! The grant of a user who has authorized the application.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::credential::{Access, Credential, CredentialStore, LockedCredential};
use super::endpoint::{Application, Endpoint, Form, Granted, Refusal, TokenFailure};
use super::renewal::{Grant, Issued, RefreshedTokens};
use super::secret::Secret;
use super::{AccessToken, TokenError, TokenErrorKind, lock};
use crate::clock;
use crate::clock::Moment;
use crate::error::Error;
use crate::redact::Chain;
use crate::transport::HttpTransport;

/// The waits between attempts to save a new credential, in seconds: a minute altogether.
const SAVE_AGAIN_AFTER: [u64; 6] = [1, 2, 4, 8, 16, 32];

/// The refresh token grant of OAuth 2.0: a user has authorized the application, once.
///
/// A refresh token works once: Box gives the next one for it, which is lost if the answer is. Therefore what is about to be
/// done is durable in the [`CredentialStore`] before the request, and the new token before it is used first. A process that
/// is killed at any moment leaves a credential that works, or one whose next use fails with
/// [`TokenErrorKind::AuthorizeAnew`]: where Box had exchanged the token, and the process died before it could keep the new
/// one. Processes that share the store use the token that any of them got.
///
/// Such a token expires after 60 days without use. A program that ends in good order awaits the client's
/// [`flush`](crate::LongPollClient::flush) before, so that no exchange is cut short.
///
/// See <https://developer.box.com/guides/authentication/oauth2/> and
/// <https://developer.box.com/guides/authentication/tokens/refresh/>.
///
/// ```no_run
/// use box_longpoll::auth::{Credential, CredentialFile, RefreshToken};
/// use box_longpoll::{HttpTransport, LongPollClient};
///
/// # fn client<T: HttpTransport + Clone>(transport: T, secret: String, refresh_token: String) -> Result<LongPollClient<T>, Box<dyn std::error::Error>> {
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
    /// A credential that Box gave, and that is not durable yet. Nobody else may have the old one meanwhile.
    unsaved: Mutex<Option<Unsaved>>,
}

struct Unsaved {
    credential: Credential,
    store: Box<dyn LockedCredential>,
}

impl RefreshToken {
    /// Takes the id and the secret as Box's developer console shows them, and where the user's credential is kept. The
    /// secret is zeroed when it is dropped, and never shown.
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

    /// Where Box's API is; see [`LongPollClientBuilder::api_origin`](crate::LongPollClientBuilder::api_origin).
    pub fn api_origin(mut self, origin: impl Into<String>) -> Self {
        self.application.api_origin = origin.into();
        self
    }

    /// The token source. Nothing is sent before the first token is needed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an id or a secret that is empty, and for an origin that is not
    /// `https` or loopback.
    pub fn tokens(self, transport: impl HttpTransport) -> Result<RefreshedTokens, Error> {
        let endpoint = self.application.endpoint(transport)?;
        Ok(RefreshedTokens::new(endpoint, Arc::new(self)))
    }

    /// Makes a new credential durable, and only then gives its access token. Nobody else has it: a store that fails is tried
    /// for a minute before the failure is told, and then by who asks next.
    async fn keep(&self, endpoint: &Endpoint, unsaved: Unsaved) -> Result<Issued, TokenError> {
        let Unsaved {
            credential,
            mut store,
        } = unsaved;
        let mut waits = SAVE_AGAIN_AFTER.into_iter().map(Duration::from_secs);
        while let Err(error) = store.save(&credential).await {
            tracing::error!(error = %Chain(&error), "a new refresh token is in this process alone");
            let slept = match waits.next() {
                Some(wait) => endpoint.transport.sleep(wait).await.is_ok(),
                None => false,
            };
            if !slept {
                *lock(&self.unsaved) = Some(Unsaved { credential, store });
                // A permanent error would stop the stream, and a program that ends then loses the token.
                return Err(error.into_transient());
            }
        }
        let over = || TokenError::transient("the new access token is over already");
        usable(&credential, None, endpoint.now()).ok_or_else(over)
    }

    /// Exchanges the refresh token for the next one.
    async fn exchange(
        &self,
        endpoint: &Endpoint,
        mut store: Box<dyn LockedCredential>,
        credential: Credential,
    ) -> Result<Issued, TokenError> {
        let asked = endpoint.now();
        let unanswered_since = credential.exchanging_since;
        // Also where it says so already: a save that failed, or whose process was killed, may not be durable.
        let begun = Credential {
            exchanging_since: unanswered_since.or(Some(asked.wall)),
            ..credential.clone()
        };
        store.save(&begun).await?;
        let form = Form::new("refresh_token", &self.application)
            .with_secret("refresh_token", credential.refresh_token());
        let why = match endpoint.ask(&form).await.0 {
            Ok(granted) => match successor(granted, asked) {
                Some(credential) => {
                    let unsaved = Unsaved { credential, store };
                    return self.keep(endpoint, unsaved).await;
                }
                None => TokenFailure::Unanswered(TokenError::transient(
                    "Box's token endpoint gives no refresh token with the access token",
                )),
            },
            Err(TokenFailure::Refused(refusal)) if is_of_the_token(&refusal) => {
                return Err(authorize_anew(&refusal, unanswered_since));
            }
            Err(why) => why,
        };
        if !matches!(why, TokenFailure::Unanswered(_)) && unanswered_since.is_none() {
            // Box has not acted on it: the token is as good as before. If this fails, it is only not known to be.
            let _ = store.save(&credential).await;
        }
        Err(why.into())
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
            // What comes of it is logged.
            let _ = self.keep(endpoint, unsaved).await;
        }
    }
}

/// The access token that is kept, if it is not to be renewed yet.
fn usable(credential: &Credential, old: Option<&AccessToken>, now: Moment) -> Option<Issued> {
    let access = credential.access.as_ref()?;
    let issued = Issued::before(access, now);
    (Some(&access.token) != old && !issued.is_due(now)).then_some(issued)
}

fn successor(granted: Granted, asked: Moment) -> Option<Credential> {
    Some(Credential {
        refresh: granted.refresh?,
        access: asked.wall.checked_add(granted.life).map(|until| Access {
            token: granted.access,
            issued: asked.wall,
            until,
        }),
        exchanging_since: None,
    })
}

fn is_of_the_token(refusal: &Refusal) -> bool {
    ["invalid_grant", "invalid_credentials"].contains(&&*refusal.code)
}

fn authorize_anew(refusal: &Refusal, unanswered_since: Option<SystemTime>) -> TokenError {
    let sentence = match unanswered_since {
        Some(since) => format!(
            "the refresh token was exchanged at {}, but the answer with the next one was lost; the user has to authorize the application anew",
            clock::to_rfc3339(since)
        ),
        None => "Box does not take the refresh token any more, because it was used elsewhere, revoked, or not used for 60 days; the user has to authorize the application anew".to_owned(),
    };
    refusal.says(TokenErrorKind::AuthorizeAnew, &sentence)
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken")
            .field("client_id", &self.application.id)
            .finish_non_exhaustive()
    }
}
