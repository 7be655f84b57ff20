//! Text that nobody may see.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Box's tokens have 32 characters and more. What is shorter than this is made up, and a part of many words.
const SHORTEST_SECRET: usize = 8;

/// A text that is never shown, and zeroed when it is dropped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(Zeroizing<String>);

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The text with something else where the secret stands.
pub(super) fn without_secret(text: &str, secret: &str, instead: &str) -> String {
    if secret.len() < SHORTEST_SECRET {
        text.to_owned()
    } else {
        text.replace(secret, instead)
    }
}
