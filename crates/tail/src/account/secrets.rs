//! Secrets in files, and [`TokenFile`], a file with an access token that another program renews.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use box_longpoll::auth::TokenError;
use box_longpoll::{AccessToken, TokenSource};

/// The largest file that may be a secret, in bytes. It is far more than any token has.
const MAX_SIZE: u64 = 64 * 1024;

/// Reads a secret from a file. Line breaks at its end are not a part of it. The error names the
/// file, and does not show the secret.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let failed = |why: &str| format!("cannot read a secret from {}: {why}", path.display());
    let read = || {
        let mut text = String::new();
        let file = File::open(path)?.take(MAX_SIZE + 1);
        { file }.read_to_string(&mut text)?;
        io::Result::Ok(text)
    };
    let mut text = read().map_err(|error| failed(&error.to_string()))?;
    if text.len() as u64 > MAX_SIZE {
        return Err(failed("the file is too large"));
    }
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    if text.is_empty() {
        return Err(failed("the file is empty"));
    }
    Ok(text)
}

/// The access token in a file. If Box refuses it, the file is read again, and the stream retries
/// until the file has another token.
pub(super) struct TokenFile {
    path: PathBuf,
    token: Mutex<AccessToken>,
}

impl TokenFile {
    /// Reads the token.
    pub(super) fn open(path: PathBuf) -> Result<Self, String> {
        let token = Mutex::new(token(&path)?);
        Ok(Self { path, token })
    }
}

#[async_trait]
impl TokenSource for TokenFile {
    async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if rejected == Some(&*kept) {
            let token = token(&self.path).map_err(TokenError::transient)?;
            if rejected == Some(&token) {
                return Err(TokenError::transient(format!(
                    "Box refuses the token in {}: put a new one into the file",
                    self.path.display()
                )));
            }
            *kept = token;
        }
        Ok(kept.clone())
    }
}

fn token(path: &Path) -> Result<AccessToken, String> {
    let token = AccessToken::new(read(path)?);
    token.map_err(|error| format!("{}: {error}", path.display()))
}
