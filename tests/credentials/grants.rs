//! The grants that the tests use, each with a way to make its tokens, and a credential store in
//! memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use box_longpoll::HttpTransport;
use box_longpoll::auth::TokenError;
use box_longpoll::auth::{
    ClientCredentials, Credential, CredentialStore, JwtAlgorithm, JwtBearer, LockedCredential,
    RefreshToken, RefreshedTokens, Subject,
};
use tokio::sync::OwnedMutexGuard;

use crate::keys::{FROM_CONSOLE, PASSPHRASE};
use crate::world::{CLIENT_ID, ENTERPRISE, SECRET, USER};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Grant {
    ServiceAccount,
    User,
    RefreshToken,
    Jwt(JwtAlgorithm),
}

impl Grant {
    /// Returns the emulator's account that the tokens belong to.
    pub(crate) fn account(self) -> String {
        match self {
            Self::ServiceAccount | Self::Jwt(_) => format!("enterprise {ENTERPRISE}"),
            Self::User | Self::RefreshToken => USER.to_owned(),
        }
    }

    /// Returns the tokens of the grant. `refresh_token` comes from a user's authorization.
    pub(crate) fn tokens(
        self,
        origin: &str,
        refresh_token: String,
        transport: impl HttpTransport,
    ) -> RefreshedTokens {
        match self {
            Self::ServiceAccount => client_credentials(Subject::enterprise(ENTERPRISE))
                .api_origin(origin)
                .tokens(transport),
            Self::User => client_credentials(Subject::user(USER))
                .api_origin(origin)
                .tokens(transport),
            Self::RefreshToken => oauth(&InMemory::new(refresh_token))
                .api_origin(origin)
                .tokens(transport),
            Self::Jwt(algorithm) => jwt(&FROM_CONSOLE)
                .algorithm(algorithm)
                .api_origin(origin)
                .tokens(transport),
        }
        .unwrap()
    }
}

pub(crate) fn client_credentials(subject: Subject) -> ClientCredentials {
    ClientCredentials::new(CLIENT_ID, SECRET, subject)
}

pub(crate) fn oauth(store: &InMemory) -> RefreshToken {
    RefreshToken::new(CLIENT_ID, SECRET, store.clone())
}

pub(crate) fn jwt(key: &str) -> JwtBearer {
    JwtBearer::from_json(configuration(key).to_string()).unwrap()
}

/// Returns the configuration in the form that Box's developer console gives.
pub(crate) fn configuration(key: &str) -> serde_json::Value {
    serde_json::json!({
        "boxAppSettings": {
            "clientID": CLIENT_ID,
            "clientSecret": SECRET,
            "appAuth": {"publicKeyID": "k1", "privateKey": key, "passphrase": PASSPHRASE},
        },
        "enterpriseID": ENTERPRISE,
    })
}

/// A credential store in memory, whose saves fail on demand. Clones share the credential.
#[derive(Clone)]
pub(crate) struct InMemory {
    credential: Arc<Mutex<Credential>>,
    lock: Arc<tokio::sync::Mutex<()>>,
    /// One value for each of the next saves: `true` if it fails.
    failing: Arc<Mutex<VecDeque<bool>>>,
}

impl InMemory {
    pub(crate) fn new(refresh_token: String) -> Self {
        Self {
            credential: Arc::new(Mutex::new(Credential::new(refresh_token).unwrap())),
            lock: Arc::default(),
            failing: Arc::default(),
        }
    }

    /// Plans the next saves: each `true` makes one save fail.
    pub(crate) fn fail(&self, saves: impl IntoIterator<Item = bool>) {
        self.failing.lock().unwrap().extend(saves);
    }

    /// Returns the JSON that a custom store would write.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::to_value(&*self.credential.lock().unwrap()).unwrap()
    }
}

#[async_trait]
impl CredentialStore for InMemory {
    async fn lock(&self) -> Result<Box<dyn LockedCredential>, TokenError> {
        let locked = self.lock.clone().lock_owned().await;
        Ok(Box::new(Locked(self.clone(), locked)))
    }
}

struct Locked(
    InMemory,
    #[expect(dead_code, reason = "it keeps others away until it is dropped")] OwnedMutexGuard<()>,
);

#[async_trait]
impl LockedCredential for Locked {
    async fn load(&mut self) -> Result<Credential, TokenError> {
        Ok(self.0.credential.lock().unwrap().clone())
    }

    async fn save(&mut self, credential: &Credential) -> Result<(), TokenError> {
        if self.0.failing.lock().unwrap().pop_front() == Some(true) {
            return Err(TokenError::permanent("the disk is read-only"));
        }
        *self.0.credential.lock().unwrap() = credential.clone();
        Ok(())
    }
}
