//! [`Database`]: the events in a database that `box-tail --to sqlite:FILE` has written.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, params_from_iter};
use tokio::task::spawn_blocking;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A database with events, opened to read it.
#[derive(Clone)]
pub(super) struct Database {
    connection: Arc<Mutex<Connection>>,
    accounts: Arc<[String]>,
}

impl Database {
    /// Opens the database.
    ///
    /// # Errors
    ///
    /// The file does not exist, or has no table of events. The text names the file.
    pub(super) fn open(file: &str) -> Result<Self, String> {
        Self::opened(file).map_err(|error| format!("{file}: {error}"))
    }

    fn opened(file: &str) -> rusqlite::Result<Self> {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let accounts = connection
            .prepare("SELECT DISTINCT account FROM events")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            accounts,
        })
    }

    /// Returns those of the ids that the database has, of any account.
    pub(super) async fn find(self, ids: Vec<String>) -> Result<Vec<String>, Error> {
        spawn_blocking(move || Ok(self.find_now(&ids)?)).await?
    }

    fn find_now(&self, ids: &[String]) -> rusqlite::Result<Vec<String>> {
        let connection = self.connection.lock();
        let connection = connection.unwrap_or_else(PoisonError::into_inner);
        let places = vec!["?"; ids.len()].join(",");
        // The index begins with the account.
        let query =
            format!("SELECT event_id FROM events WHERE account = ? AND event_id IN ({places})");
        let mut query = connection.prepare_cached(&query)?;
        let mut found = Vec::new();
        for account in self.accounts.iter() {
            let values = params_from_iter([account].into_iter().chain(ids));
            for id in query.query_map(values, |row| row.get(0))? {
                found.push(id?);
            }
        }
        Ok(found)
    }
}
