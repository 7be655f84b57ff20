//! The tables of the database, and the check that the file is such a database.

use std::fmt;

use rusqlite::{Connection, TransactionBehavior};

/// The tables, indexes and views.
const TABLES: &str = include_str!("schema.sql");

/// The version of [`TABLES`]. It stands in the header of the file, as `user_version`.
const VERSION: i64 = 1;

/// The mark of the program in the header of the file: `BoxT`.
const APPLICATION: i64 = 0x426f_7854;

/// The reason why a database can't be used.
#[derive(Debug)]
pub(super) enum SchemaError {
    /// The database belongs to another program.
    Foreign,
    /// A newer version of this program has made the database.
    Newer(i64),
    /// `SQLite` failed, for instance because the file is not a database.
    Database(rusqlite::Error),
}

/// Creates the tables if the database is new, and makes each transaction durable when it ends. The
/// database of another program is left unchanged.
pub(super) fn prepare(database: &mut Connection) -> Result<(), SchemaError> {
    check(database)?;
    // Programs that read the database don't block the one that writes it.
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another program may have created the tables just now.
    if is_new(&transaction)? {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Checks that the database is new, or one of this program that this version knows.
fn check(database: &Connection) -> Result<(), SchemaError> {
    if is_new(database)? {
        return Ok(());
    }
    if number(database, "application_id")? != APPLICATION {
        return Err(SchemaError::Foreign);
    }
    match number(database, "user_version")? {
        version if version > VERSION => Err(SchemaError::Newer(version)),
        _ => Ok(()),
    }
}

fn is_new(database: &Connection) -> rusqlite::Result<bool> {
    let select = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 = database.query_row(select, [], |row| row.get(0))?;
    Ok(tables == 0)
}

/// Returns a number in the header of the file.
fn number(database: &Connection, name: &str) -> rusqlite::Result<i64> {
    database.pragma_query_value(None, name, |row| row.get(0))
}

impl From<rusqlite::Error> for SchemaError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => {
                f.write_str("it is a database of another program: choose another file")
            }
            Self::Newer(version) => write!(
                f,
                "a newer version of box-tail has made it, with version {version} of the tables, \
                 and this version knows {VERSION}: use the newer one, or choose another file"
            ),
            // The source of this error repeats its text.
            Self::Database(error) => write!(f, "it can't be used as a database: {error}"),
        }
    }
}

impl std::error::Error for SchemaError {}
