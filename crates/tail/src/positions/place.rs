//! [`Place`]: the file or the database that has checkpoints, opened to read them.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use box_longpoll::checkpoint::{Checkpoint, CheckpointFile};
use rusqlite::{Connection, OpenFlags};

use crate::report::with_causes;

/// A place that has checkpoints.
#[derive(Clone)]
pub(super) enum Place {
    /// The file of one checkpoint.
    File(PathBuf),
    /// A database of `box-tail --to sqlite:FILE`, with the checkpoints of its accounts.
    Database(PathBuf),
}

/// A checkpoint, and the account in the database that it belongs to.
pub(super) struct Found {
    pub(super) account: Option<String>,
    pub(super) checkpoint: Checkpoint,
}

impl FromStr for Place {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix("sqlite:") {
            Some(file) => Self::Database(file.into()),
            None => Self::File(text.into()),
        })
    }
}

impl Place {
    /// Reads all checkpoints, of which there is at least one. Takes no lock.
    pub(super) fn read(&self) -> Result<Vec<Found>, String> {
        match self {
            Self::File(file) => Ok(vec![Found {
                account: None,
                checkpoint: in_file(file)?,
            }]),
            Self::Database(file) => {
                let found = in_database(file);
                match found.map_err(|error| format!("{}: {error}", file.display()))? {
                    found if found.is_empty() => {
                        Err(format!("{}: it has no checkpoint", file.display()))
                    }
                    found => Ok(found),
                }
            }
        }
    }
}

/// Reads the checkpoint in a file. Takes no lock.
pub(super) fn in_file(file: &Path) -> Result<Checkpoint, String> {
    let checkpoint = CheckpointFile::read(file).map_err(|error| with_causes(&error))?;
    checkpoint.ok_or_else(|| {
        let file = file.display();
        format!(
            "{file}: there is no such file; `box-tail follow --checkpoint {file} --from POSITION` \
             creates it"
        )
    })
}

fn in_database(file: &Path) -> rusqlite::Result<Vec<Found>> {
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut select = database.prepare("SELECT account, json FROM checkpoints ORDER BY account")?;
    let found = select.query_map([], |row| {
        let json: String = row.get(1)?;
        let checkpoint = serde_json::from_str(&json).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into())
        })?;
        Ok(Found {
            account: row.get(0)?,
            checkpoint,
        })
    })?;
    found.collect()
}
