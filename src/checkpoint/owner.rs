//! Whose events a checkpoint is of, as far as a client knows.

use std::fmt;

use crate::auth::{Subject, TokenSource};
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::redact::quote;

/// The stream that a checkpoint is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The key that the program gave for the account.
    pub(crate) account: String,
    pub(super) stream_type: &'static str,
    pub(super) api_origin: String,
    /// `None`: it was not written down before format 2.
    pub(super) identity: Option<Identity>,
}

impl Owner {
    /// The stream of a client's subscription.
    pub(crate) fn of(account: String, config: &Config, tokens: &dyn TokenSource) -> Self {
        Self {
            account,
            stream_type: config.stream_kind.name(),
            api_origin: config.api_origin.to_string(),
            identity: Some(Identity::of(config, tokens)),
        }
    }

    /// Checks that a subscription of `ours` resumes at its own checkpoint: from another's position it loses events.
    pub(crate) fn check(&self, location: &str, ours: &Self) -> Result<(), Error> {
        let differs = |what: &str, its: &str, ours: &str| {
            format!(
                "the checkpoint at {location} is of the {what} \"{}\", and this is \"{}\"",
                quote(its),
                quote(ours)
            )
        };
        for (what, its, ours) in [
            ("account", &*self.account, &*ours.account),
            ("stream type", self.stream_type, ours.stream_type),
            ("API origin", &self.api_origin, &ours.api_origin),
        ] {
            if its != ours {
                return Err(Error::new(ErrorKind::Checkpoint, differs(what, its, ours)));
            }
        }
        match (&self.identity, &ours.identity) {
            (Some(its), Some(ours)) if its != ours => {
                let differs = differs("subject", &its.to_string(), &ours.to_string());
                let hint = "if both are the same account, subscribe under another key, from this checkpoint's position";
                let text = format!("{differs}; {hint}");
                Err(Error::new(ErrorKind::Checkpoint, text))
            }
            _ => Ok(()),
        }
    }
}

/// The account that a client stands for: a user, or a service account, by its id. `None`: the token's own, which the client
/// does not know, because it never requests it from Box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity(Option<Subject>);

/// The text for a token whose account is not known.
const TOKEN: &str = "the access token's own account";

impl Identity {
    /// The user that the client acts as, else the subject of its grant.
    fn of(config: &Config, tokens: &dyn TokenSource) -> Self {
        let as_user = config.as_user.as_ref();
        let as_user = as_user.map(|id| Subject::user(String::from_utf8_lossy(id.as_bytes())));
        Self(as_user.or_else(|| tokens.subject()))
    }

    pub(super) fn subject(&self) -> Option<&Subject> {
        self.0.as_ref()
    }

    /// Reads what `Display` wrote.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text == TOKEN {
            Some(Self(None))
        } else {
            Subject::read(text).map(|subject| Self(Some(subject)))
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(subject) => subject.fmt(f),
            None => f.write_str(TOKEN),
        }
    }
}
