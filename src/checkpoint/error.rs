//! The error of a checkpoint store.
//!
//! A [`CheckpointError`] is cheap to clone, because the ledger keeps it, the status shows it, and
//! every acknowledgement that waits for the write returns it. It can name a file. It has no kinds:
//! every failed save is retried.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// The reason why a [`CheckpointStore`](crate::checkpoint::CheckpointStore) can't load or save.
/// Cloning is cheap.
#[derive(Clone, Debug)]
pub struct CheckpointError(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The failure, if the source does not say it all.
    what: Option<String>,
    /// The file that the failure is about.
    path: Option<PathBuf>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    is_in_use: bool,
}

impl CheckpointError {
    /// Creates an error from its cause. The error shows the text of the cause.
    ///
    /// The text is logged and shown in the status. It must not contain a secret, such as a URL with
    /// a password in it.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Arc::new(Inner {
            what: None,
            path: None,
            source: Some(source.into()),
            is_in_use: false,
        }))
    }

    /// Creates an error about a file.
    pub(super) fn of_file(path: &Path, what: &str) -> Self {
        Self(Arc::new(Inner {
            what: Some(what.to_owned()),
            path: Some(path.to_owned()),
            source: None,
            is_in_use: false,
        }))
    }

    /// Creates the error of a file that another store has locked.
    pub(super) fn of_file_in_use(path: &Path) -> Self {
        let what = "it is in use, by another process or by another store of this one";
        Self(Arc::new(Inner {
            what: Some(what.to_owned()),
            path: Some(path.to_owned()),
            source: None,
            is_in_use: true,
        }))
    }

    /// Returns a function that creates an error about a file from its cause.
    pub(super) fn of_file_because<E: Into<Box<dyn StdError + Send + Sync>>>(
        path: &Path,
        what: &str,
    ) -> impl FnOnce(E) -> Self {
        move |source| {
            Self(Arc::new(Inner {
                what: Some(what.to_owned()),
                path: Some(path.to_owned()),
                source: Some(source.into()),
                is_in_use: false,
            }))
        }
    }

    /// Wraps the error for a subscription. `what_failed` is the operation that the store failed at.
    pub(crate) fn into_error(self, what_failed: &str) -> Error {
        Error::new(ErrorKind::Checkpoint, what_failed).with_source(self)
    }

    /// Returns the path of the file, if the error is about one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// Returns `true` if another process, or another store of this one, has the file open.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.0.is_in_use
    }
}

/// Shows the file and the failure. For an error of your own store, it shows the text of the cause.
impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            what, path, source, ..
        } = &*self.0;
        if let Some(path) = path {
            write!(f, "{}: ", path.display())?;
        }
        match (what, source) {
            (Some(what), _) => f.write_str(what),
            (None, Some(source)) => source.fmt(f),
            (None, None) => f.write_str("the checkpoint store failed"),
        }
    }
}

impl StdError for CheckpointError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.0.source.as_ref()?;
        match self.0.what {
            Some(_) => Some(source.as_ref()),
            None => source.source(),
        }
    }
}
