//! Whom a token stands for.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// Whom a token stands for, where the application can have it for several.
///
/// It is written `user:ID` or `enterprise:ID`. The ids are those in Box's admin console.
///
/// See <https://developer.box.com/reference/post-oauth2-token/>.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The word that Box has for its kind.
    kind: &'static str,
    id: String,
}

impl Subject {
    /// The application's service account in the enterprise of this id.
    pub fn enterprise(id: impl Into<String>) -> Self {
        Self {
            kind: "enterprise",
            id: id.into(),
        }
    }

    /// The user of this id, an app user or a managed one.
    pub fn user(id: impl Into<String>) -> Self {
        Self {
            kind: "user",
            id: id.into(),
        }
    }

    /// Reads what `Display` wrote. Any id is taken: a header of the client may carry more than Box gives.
    pub(crate) fn read(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("enterprise", id)) => Some(Self::enterprise(id)),
            Some(("user", id)) => Some(Self::user(id)),
            _ => None,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.id.is_empty() || !self.id.bytes().all(|byte| byte.is_ascii_graphic()) {
            let rule = format!(
                "the {}'s id must be visible ASCII, as Box gives it",
                self.kind()
            );
            return Err(Error::config(rule));
        }
        Ok(())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.id)
    }
}

impl FromStr for Subject {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for what is neither `user:ID` nor `enterprise:ID`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let rule = "a subject is written user:ID or enterprise:ID";
        let subject = Self::read(text).ok_or_else(|| Error::config(rule))?;
        subject.check()?;
        Ok(subject)
    }
}
