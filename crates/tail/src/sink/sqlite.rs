//! [`Sqlite`]: events in a table of `SQLite`, each once.
//!
//! A transaction stores the events of a page and the checkpoint after it. So the database is the
//! checkpoint, and an event that Box or the program delivers again changes nothing. A database may
//! have the events of several accounts, each written by a program of its own. The tables are in
//! [`schema`].

mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::Event;
use box_longpoll::checkpoint::Checkpoint;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::local_file::{beside, failed, lock, real_path};
use super::{Failure, Page, Sink, SinkError};

/// The time for which a transaction waits for those of other programs.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// A database of events.
pub(crate) struct Sqlite {
    path: PathBuf,
    /// The name of the account in the database.
    account: String,
    database: Arc<Mutex<Connection>>,
    _lock: std::fs::File,
}

impl Sqlite {
    /// Opens the database, which need not exist yet, and keeps other programs away from the account
    /// in it.
    pub(crate) fn open(path: &Path, account: &str) -> Result<Self, SinkError> {
        let real = real_path(path).map_err(failed(path))?;
        let letters = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = account.chars().map(letters).collect();
        let locked = lock(&beside(&real, &format!("{name}.lock")));
        let lock = locked.map_err(|error| {
            let text = format!("{}, account {account:?}", path.display());
            SinkError::new(Failure::Unavailable, 0, text).because(error)
        })?;
        let opened = Connection::open(&real);
        let mut database = opened.map_err(failed_by_sqlite(path))?;
        let set = database.busy_timeout(BUSY_TIMEOUT);
        set.map_err(failed_by_sqlite(path))?;
        schema::prepare(&mut database).map_err(failed(path))?;
        Ok(Self {
            path: path.to_owned(),
            account: account.to_owned(),
            database: Arc::new(Mutex::new(database)),
            _lock: lock,
        })
    }

    /// Runs the work in a transaction, on a thread that may block.
    async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>, &str) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, SinkError> {
        let (database, account) = (self.database.clone(), self.account.clone());
        let task = tokio::task::spawn_blocking(move || {
            let mut database = database.lock().unwrap_or_else(PoisonError::into_inner);
            // A transaction that begins with a read may fail when it wants to write.
            let begin = TransactionBehavior::Immediate;
            let transaction = database.transaction_with_behavior(begin)?;
            let outcome = work(&transaction, &account)?;
            transaction.commit()?;
            Ok::<R, rusqlite::Error>(outcome)
        });
        let outcome = task.await.map_err(failed(&self.path))?;
        outcome.map_err(failed_by_sqlite(&self.path))
    }
}

#[async_trait]
impl Sink for Sqlite {
    async fn write(&mut self, page: Page<'_>) -> Result<(), SinkError> {
        let events = page.events.to_vec();
        let checkpoint = page.checkpoint.cloned();
        self.run(move |transaction, account| {
            insert(transaction, account, &events)?;
            match checkpoint {
                Some(checkpoint) => replace(transaction, account, &checkpoint),
                None => Ok(()),
            }
        })
        .await
    }

    fn keeps_checkpoint(&self) -> bool {
        true
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, SinkError> {
        self.run(stored).await
    }
}

/// Returns a function that turns an error of `SQLite` into that of a sink. The source of such an
/// error repeats its text, so it is left out.
fn failed_by_sqlite(path: &Path) -> impl FnOnce(rusqlite::Error) -> SinkError + use<> {
    let failed = failed(path);
    |error| failed(error.to_string())
}

/// Inserts events. An event whose id the account has already is left out.
fn insert(transaction: &Transaction, account: &str, events: &[Event]) -> rusqlite::Result<()> {
    let received_at = format!("{:.0}", Timestamp::now());
    let mut insert = transaction.prepare_cached(
        "INSERT INTO events (account, event_id, event_type, created_at, json, received_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (account, event_id) DO NOTHING",
    )?;
    for event in events {
        insert.execute(params![
            account,
            event.id(),
            event.event_type().map(box_longpoll::EventType::as_str),
            event.created_at().map(|time| format!("{time:.0}")),
            event.raw(),
            received_at,
        ])?;
    }
    Ok(())
}

/// Replaces the checkpoint of the account, and stores the ids that came with it.
fn replace(
    transaction: &Transaction,
    account: &str,
    checkpoint: &Checkpoint,
) -> rusqlite::Result<()> {
    let json = serde_json::to_string(checkpoint)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO checkpoints (account, json) VALUES (?1, ?2)")?
        .execute(params![account, json])?;
    // Ids that a failed run has left behind the checkpoint do not count.
    let after = match checkpoint.new_ids() {
        Some(ids) => ids.after(),
        None if checkpoint.history_ids() == 0 => 0,
        None => return Ok(()),
    };
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    transaction
        .prepare_cached("DELETE FROM checkpoint_ids WHERE account = ?1 AND after >= ?2")?
        .execute(params![account, after])?;
    if let Some(ids) = checkpoint.new_ids() {
        transaction
            .prepare_cached("INSERT INTO checkpoint_ids (account, after, ids) VALUES (?1, ?2, ?3)")?
            .execute(params![account, after, ids.as_bytes()])?;
    }
    Ok(())
}

/// Returns the checkpoint of the account, with the ids that were stored beside it.
fn stored(transaction: &Transaction, account: &str) -> rusqlite::Result<Option<Checkpoint>> {
    let select = "SELECT json FROM checkpoints WHERE account = ?1";
    let json: Option<String> = transaction
        .query_row(select, [account], |row| row.get(0))
        .optional()?;
    let Some(json) = json else { return Ok(None) };
    let checkpoint: Checkpoint = serde_json::from_str(&json).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    })?;
    let mut select =
        transaction.prepare("SELECT after, ids FROM checkpoint_ids WHERE account = ?1")?;
    let parts = select.query_map([account], |row| {
        let after: i64 = row.get(0)?;
        Ok((u64::try_from(after).unwrap_or_default(), row.get(1)?))
    })?;
    let parts: Vec<(u64, Vec<u8>)> = parts.collect::<Result<_, _>>()?;
    Ok(Some(checkpoint.with_ids(parts)))
}
