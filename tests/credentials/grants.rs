//! What an application may have, each with its way to tokens.

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
    /// The account at the emulator that its tokens belong to.
    pub(crate) fn account(self) -> String {
        match self {
            Self::ServiceAccount | Self::Jwt(_) => format!("enterprise {ENTERPRISE}"),
            Self::User | Self::RefreshToken => USER.to_owned(),
        }
    }

    /// Its tokens. `refresh_token` is what a user's authorization gave.
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

/// As Box's developer console gives it.
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

/// A store that keeps a credential as long as the test does, and refuses to save when it is told to.
#[derive(Clone)]
pub(crate) struct InMemory {
    credential: Arc<Mutex<Credential>>,
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Whether each of the next saves fails.
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

    /// Has the next saves fail, or not.
    pub(crate) fn fail(&self, saves: impl IntoIterator<Item = bool>) {
        self.failing.lock().unwrap().extend(saves);
    }

    /// What a store of one's own would write.
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
