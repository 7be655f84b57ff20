//! Whose events a checkpoint is of, as far as a client knows.

use std::fmt;

use crate::auth::{Subject, TokenSource};
use crate::config::Config;

/// The account that a client stands for. A client never asks Box, so it does not know the account of a token alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A user, or a service account, by its id.
    Subject(Subject),
    /// Whomever the token is of.
    Token,
}

/// The text for a token whose account is not known.
const TOKEN: &str = "the access token's own account";

impl Identity {
    /// The user that the client acts as, else the subject of its grant.
    pub(crate) fn of(config: &Config, tokens: &dyn TokenSource) -> Self {
        let as_user = config.as_user.as_ref();
        let as_user = as_user.map(|id| Subject::user(String::from_utf8_lossy(id.as_bytes())));
        match as_user.or_else(|| tokens.subject()) {
            Some(subject) => Self::Subject(subject),
            None => Self::Token,
        }
    }

    pub(super) fn subject(&self) -> Option<&Subject> {
        match self {
            Self::Subject(subject) => Some(subject),
            Self::Token => None,
        }
    }

    /// Reads what `Display` wrote.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text == TOKEN {
            Some(Self::Token)
        } else {
            Subject::read(text).map(Self::Subject)
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => subject.fmt(f),
            Self::Token => f.write_str(TOKEN),
        }
    }
}
