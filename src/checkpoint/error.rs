//! Why a checkpoint can't be loaded or saved.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// Why a [`CheckpointStore`](crate::checkpoint::CheckpointStore) can't load or save. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct CheckpointError(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What failed, where the source does not say it all.
    what: Option<String>,
    path: Option<PathBuf>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl CheckpointError {
    /// An error of a store, in the words of its cause. The text is logged and shown in the status: it must hold no secret,
    /// such as a URL with a password in it.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Arc::new(Inner {
            what: None,
            path: None,
            source: Some(source.into()),
        }))
    }

    /// What is wrong with a file.
    pub(super) fn of_file(path: &Path, what: &str) -> Self {
        Self(Arc::new(Inner {
            what: Some(what.to_owned()),
            path: Some(path.to_owned()),
            source: None,
        }))
    }

    /// What could not be done with a file, to which a cause is added.
    pub(super) fn of_file_because<E: Into<Box<dyn StdError + Send + Sync>>>(
        path: &Path,
        what: &str,
    ) -> impl FnOnce(E) -> Self {
        move |source| {
            Self(Arc::new(Inner {
                what: Some(what.to_owned()),
                path: Some(path.to_owned()),
                source: Some(source.into()),
            }))
        }
    }

    /// The error of a subscription whose checkpoint store failed at this.
    pub(crate) fn into_error(self, what_failed: &str) -> Error {
        Error::new(ErrorKind::Checkpoint, what_failed).with_source(self)
    }

    /// The file, where it is about one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }
}

/// The file and what failed. An error of a store of your own has the text of its cause.
impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { what, path, source } = &*self.0;
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
