//! The account that a token acts for.
//!
//! Some grants let an application choose between its service account and a user. [`Subject`] is
//! that choice. A checkpoint stores it too.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// The account that a token acts for, if the application may act for several.
///
/// Its text is `user:ID` or `enterprise:ID`, with the ids of Box's admin console.
///
/// See <https://developer.box.com/reference/post-oauth2-token/>.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The value of Box's parameter `box_subject_type`.
    kind: &'static str,
    id: String,
}

impl Subject {
    /// Creates the subject for the application's service account in the enterprise with this id.
    pub fn enterprise(id: impl Into<String>) -> Self {
        Self {
            kind: "enterprise",
            id: id.into(),
        }
    }

    /// Creates the subject for the user with this id, an app user or a managed user.
    pub fn user(id: impl Into<String>) -> Self {
        Self {
            kind: "user",
            id: id.into(),
        }
    }

    /// Reads the text that `Display` writes. It accepts any id, because a header of the client may
    /// carry ids that Box would not give.
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

    /// Returns an error if the id is empty or not visible ASCII.
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

    /// Parses `user:ID` or `enterprise:ID`.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Config`](crate::ErrorKind::Config) if the text has another form, or if
    /// the id is empty or not visible ASCII.
    fn from_str(text: &str) -> Result<Self, Error> {
        let rule = "a subject is written user:ID or enterprise:ID";
        let subject = Self::read(text).ok_or_else(|| Error::config(rule))?;
        subject.check()?;
        Ok(subject)
    }
}
