//! Reads the past events of an enterprise, then follows its live ones, and keeps each exactly once
//! in `SQLite`, even if the program is killed.
//!
//! ```sh
//! BOX_ACCESS_TOKEN=… cargo run --example history_then_live -- events.db 365
//! ```
//!
//! The second argument is the number of days to read. A transaction holds the events of a batch,
//! the checkpoint after it, and the ids that belong to the checkpoint: all of them are stored, or
//! none. Live events repeat past ones, so the stream remembers the ids of the past ones, even
//! across restarts. Without an access token, or with `--demo`, a fake Box inside the program shows
//! that. `BOX_API` names another API on this machine, such as `box-emulator`.

mod common;

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use box_longpoll::checkpoint::{Checkpoint, NewIds, ResumeFrom};
use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, Event, LongPollClient, StartAt, Status, Update};
use box_longpoll_testkit::{AdminLogsOrder, EmulatorServer, PastEvents, Settings};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

type Client = LongPollClient<ReqwestTransport>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    common::end(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let Some(token) = common::access_token()? else {
        return demonstrate().await;
    };
    let client = match common::variable("BOX_API")? {
        Some(api) => common::client_of(&api, token)?,
        None => LongPollClient::new(ReqwestTransport::new()?, token),
    };
    let mut arguments = env::args_os().skip(1);
    let file = arguments.next().map_or("events.db".into(), PathBuf::from);
    let days = match arguments.next() {
        Some(days) => days.to_string_lossy().parse::<u16>()?,
        None => 365,
    };
    follow(&client, &file, days, None).await
}

/// Stores the events of one batch after the other.
///
/// After `leave_after` batches it returns in the middle of a transaction, as if the program was
/// killed there.
async fn follow(
    client: &Client,
    file: &Path,
    days: u16,
    leave_after: Option<usize>,
) -> Result<(), Box<dyn Error>> {
    let client = client.enterprise(AdminLogsStreaming::default())?;
    let mut database = open(file)?;
    let from = if let Some(checkpoint) = stored(&database)? {
        ResumeFrom::from(checkpoint)
    } else {
        let ago = SignedDuration::from_hours(24 * i64::from(days));
        StartAt::Since(Timestamp::now() - ago).into()
    };
    let mut updates = client.subscribe_from(from);
    let mut batches = 0;
    while let Some(update) = updates.next().await {
        match update? {
            Update::Started(progress) | Update::Moved(progress) => {
                let transaction = database.transaction()?;
                store(&transaction, &[], progress.checkpoint())?;
                transaction.commit()?;
                progress.stored();
            }
            Update::Batch(batch) => {
                // SQLite blocks the thread for a few milliseconds. Use another thread if your
                // database takes longer.
                let transaction = database.transaction()?;
                store(&transaction, &batch, &batch.checkpoint()?)?;
                batches += 1;
                if leave_after == Some(batches) {
                    return Ok(());
                }
                transaction.commit()?;
                batch.stored();
                if let Status::ReadingHistory(progress) = updates.status() {
                    eprintln!("{progress}");
                }
            }
            Update::PossibleGap(gap) => eprintln!("{gap}"),
        }
    }
    Ok(())
}

/// Opens the database, and creates its tables if they do not exist.
fn open(file: &Path) -> rusqlite::Result<Connection> {
    let database = Connection::open(file)?;
    database.execute_batch(
        "CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, json TEXT NOT NULL);
         CREATE TABLE IF NOT EXISTS checkpoints (account TEXT PRIMARY KEY, json TEXT NOT NULL);
         CREATE TABLE IF NOT EXISTS history_ids (after INTEGER PRIMARY KEY, ids BLOB NOT NULL);",
    )?;
    Ok(database)
}

/// Returns the stored checkpoint with its ids, or `None` on the first start.
fn stored(database: &Connection) -> Result<Option<Checkpoint>, Box<dyn Error>> {
    let select = "SELECT json FROM checkpoints WHERE account = 'mine'";
    let json = database.query_row(select, [], |row| row.get::<_, String>(0));
    let Some(json) = json.optional()? else {
        return Ok(None);
    };
    let checkpoint: Checkpoint = serde_json::from_str(&json)?;
    let mut select = database.prepare("SELECT after, ids FROM history_ids")?;
    let (mut rows, mut parts) = (select.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        let after: i64 = row.get(0)?;
        parts.push((u64::try_from(after)?, row.get(1)?));
    }
    Ok(Some(checkpoint.with_ids(parts)))
}

/// Stores events and the checkpoint after them, as part of a transaction.
fn store(
    transaction: &Transaction<'_>,
    events: &[Event],
    checkpoint: &Checkpoint,
) -> Result<(), Box<dyn Error>> {
    let mut insert = transaction.prepare_cached("INSERT INTO events (json) VALUES (?1)")?;
    for event in events {
        insert.execute([event.raw()])?;
    }
    transaction.execute(
        "INSERT OR REPLACE INTO checkpoints (account, json) VALUES ('mine', ?1)",
        [serde_json::to_string(checkpoint)?],
    )?;
    // The new ids replace all that follow. If the checkpoint no longer needs ids, all are deleted.
    let new = checkpoint.new_ids();
    let after = new.map_or(checkpoint.history_ids(), NewIds::after);
    let after = i64::try_from(after)?;
    transaction.execute("DELETE FROM history_ids WHERE after >= ?1", [after])?;
    if let Some(new) = new {
        transaction.execute(
            "INSERT INTO history_ids (after, ids) VALUES (?1, ?2)",
            params![after, new.as_bytes()],
        )?;
    }
    Ok(())
}

/// Follows the fake Box in two runs. The first ends in the middle of a transaction.
async fn demonstrate() -> Result<(), Box<dyn Error>> {
    eprintln!("this is a fake Box (set BOX_ACCESS_TOKEN to follow the real one)");
    let fake_box = EmulatorServer::start_with(Settings {
        admin_logs_order: AdminLogsOrder::Chronological,
        rate: 4.0,
        late_rate: 0.5,
        repeat_rate: 0.5,
        ..Settings::default()
    });
    fake_box.append_past("demo", &PastEvents::year_until(fake_box.unix(), 5_000));
    let client = common::client_of(fake_box.origin(), AccessToken::new("demo")?)?;
    let directory = env::temp_dir().join(format!("box-longpoll-history-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let file = directory.join("events.db");
    for (run, batches) in [("first run", 8), ("second run, after a kill", 12)] {
        follow(&client, &file, 365, Some(batches)).await?;
        let count = "SELECT count(*), count(DISTINCT json ->> 'event_id') FROM events";
        let (events, ids): (i64, i64) =
            open(&file)?.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        eprintln!("{run}: {events} events are stored, with {ids} ids");
    }
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}
