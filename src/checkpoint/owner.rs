//! The owner of a checkpoint: the stream and the account that it belongs to.
//!
//! A position of another account or stream type makes a subscription lose events without an error.
//! So each checkpoint names its [`Owner`], and [`Owner::check`] refuses that of another. The
//! account of a plain access token is not known, and is not checked.

use std::fmt;

use crate::auth::{Subject, TokenSource};
use crate::config::{Config, Range, StreamKind};
use crate::error::{Error, ErrorKind};
use crate::redact::quote;

/// The stream that a checkpoint belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The program's key for the account.
    pub(crate) account: String,
    pub(super) stream_type: &'static str,
    pub(super) api_origin: String,
    /// `None` for a checkpoint of format 1, which did not record it.
    pub(super) identity: Option<Identity>,
    /// `None` unless the stream is a query.
    pub(super) query: Option<Query>,
}

/// The events that a query requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(super) range: Range,
    /// The names of the types, separated by commas. It is empty for all types.
    pub(super) event_types: String,
}

impl Query {
    fn of(config: &Config) -> Option<Self> {
        let StreamKind::History(query) = &config.stream_kind else {
            return None;
        };
        Some(Self {
            range: query.range,
            event_types: query.event_types.sorted_list(),
        })
    }
}

impl Owner {
    /// Returns the owner of a client's checkpoints.
    pub(crate) fn of(account: String, config: &Config, tokens: &dyn TokenSource) -> Self {
        Self {
            account,
            stream_type: config.stream_kind.name(),
            api_origin: config.api_origin.to_string(),
            identity: Some(Identity::of(config, tokens)),
            query: Query::of(config),
        }
    }

    /// Checks that a subscription of `ours` may resume from this checkpoint. From another's
    /// position it would lose events.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`] if the key, the stream type, the API origin, the subject, or the
    /// range or the event types of a query differ. The message names both.
    pub(crate) fn check(&self, location: &str, ours: &Self) -> Result<(), Error> {
        let differs = |what: &str, its: &str, ours: &str| {
            format!(
                "the checkpoint at {location} belongs to the {what} \"{}\", not to \"{}\"",
                quote(its),
                quote(ours)
            )
        };
        let range = |owner: &Self| match &owner.query {
            Some(query) => query.range.to_string(),
            None => String::new(),
        };
        let types = |owner: &Self| match &owner.query {
            Some(query) => query.event_types.clone(),
            None => String::new(),
        };
        for (what, its, ours) in [
            ("account", &*self.account, &*ours.account),
            ("stream type", self.stream_type, ours.stream_type),
            ("API origin", &self.api_origin, &ours.api_origin),
            ("range", &range(self), &range(ours)),
            ("event types", &types(self), &types(ours)),
        ] {
            if its != ours {
                return Err(Error::new(ErrorKind::Checkpoint, differs(what, its, ours)));
            }
        }
        match (&self.identity, &ours.identity) {
            (Some(its), Some(ours)) if its != ours => {
                let differs = differs("subject", &its.to_string(), &ours.to_string());
                let hint = "if both are the same account, subscribe under another key, \
                            from this checkpoint's position";
                let text = format!("{differs}; {hint}");
                Err(Error::new(ErrorKind::Checkpoint, text))
            }
            _ => Ok(()),
        }
    }
}

/// The account that a client stands for: a user or a service account, by its id.
///
/// `None` stands for the token's own account. The client does not know it, because it never
/// requests it from Box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity(Option<Subject>);

/// The text for a token whose account is not known.
const TOKEN: &str = "the access token's own account";

impl Identity {
    /// Returns the user that the client acts as, or else the subject of its grant.
    fn of(config: &Config, tokens: &dyn TokenSource) -> Self {
        let as_user = config.as_user.as_ref();
        let as_user = as_user.map(|id| Subject::user(String::from_utf8_lossy(id.as_bytes())));
        Self(as_user.or_else(|| tokens.subject()))
    }

    pub(super) fn subject(&self) -> Option<&Subject> {
        self.0.as_ref()
    }

    /// Parses the output of `Display`.
    pub(super) fn parse(text: &str) -> Option<Self> {
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
