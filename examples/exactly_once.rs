//! Follows an account and keeps its events in `SQLite`, each exactly once, even if the program is
//! killed.
//!
//! ```sh
//! BOX_ACCESS_TOKEN=… cargo run --example exactly_once -- events.db
//! ```
//!
//! A transaction holds the events of a batch and the checkpoint after it: both are stored, or
//! neither. Without an access token, or with `--demo`, a fake Box inside the program shows that.
//! `BOX_API` names another API on this machine, such as `box-emulator`.

mod common;

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use box_longpoll::checkpoint::{Checkpoint, ResumeFrom};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, LongPollClient, StartAt, Update};
use box_longpoll_testkit::{EmulatorServer, Settings};
use rusqlite::{Connection, OptionalExtension as _, params};

type Client = LongPollClient<ReqwestTransport>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    common::end(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    match common::access_token()? {
        Some(token) => {
            let client = match common::variable("BOX_API")? {
                Some(api) => common::client_of(&api, token)?,
                None => LongPollClient::new(ReqwestTransport::new()?, token),
            };
            let file = env::args_os()
                .nth(1)
                .map_or("events.db".into(), PathBuf::from);
            follow(&client, &file, None).await
        }
        None => demonstrate().await,
    }
}

/// Stores the events of one batch after the other.
///
/// After `leave_after` batches it returns in the middle of a transaction, as if the program was
/// killed there.
async fn follow(
    client: &Client,
    file: &Path,
    leave_after: Option<usize>,
) -> Result<(), Box<dyn Error>> {
    let mut database = open(file)?;
    let from = match stored(&database)? {
        Some(checkpoint) => ResumeFrom::from(checkpoint),
        None => StartAt::Now.into(),
    };
    let mut updates = client.subscribe_from(from);
    let mut batches = 0;
    while let Some(update) = updates.next().await {
        match update? {
            Update::Started(progress) | Update::Moved(progress) => {
                store(&database, progress.checkpoint())?;
                progress.stored();
            }
            Update::Batch(batch) => {
                // SQLite blocks the thread for a few milliseconds. Use another thread if your
                // database takes longer.
                let transaction = database.transaction()?;
                for event in &batch {
                    transaction.execute("INSERT INTO events (json) VALUES (?1)", [event.raw()])?;
                }
                store(&transaction, &batch.checkpoint()?)?;
                batches += 1;
                if leave_after == Some(batches) {
                    return Ok(());
                }
                transaction.commit()?;
                batch.stored();
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
         CREATE TABLE IF NOT EXISTS checkpoints (account TEXT PRIMARY KEY, json TEXT NOT NULL);",
    )?;
    Ok(database)
}

/// Returns the stored checkpoint, or `None` on the first start.
fn stored(database: &Connection) -> Result<Option<Checkpoint>, Box<dyn Error>> {
    let select = "SELECT json FROM checkpoints WHERE account = 'mine'";
    let json = database.query_row(select, [], |row| row.get::<_, String>(0));
    match json.optional()? {
        Some(json) => Ok(Some(serde_json::from_str(&json)?)),
        None => Ok(None),
    }
}

/// Stores the checkpoint, as part of the current transaction.
fn store(database: &Connection, checkpoint: &Checkpoint) -> Result<(), Box<dyn Error>> {
    let insert = "INSERT OR REPLACE INTO checkpoints (account, json) VALUES ('mine', ?1)";
    database.execute(insert, params![serde_json::to_string(checkpoint)?])?;
    Ok(())
}

/// Follows the fake Box in two runs. The first ends in the middle of a transaction.
async fn demonstrate() -> Result<(), Box<dyn Error>> {
    eprintln!("this is a fake Box (set BOX_ACCESS_TOKEN to follow the real one)");
    let fake_box = EmulatorServer::start_with(Settings {
        rate: 4.0,
        repeat_rate: 0.5,
        ..Settings::default()
    });
    let client = common::client_of(fake_box.origin(), AccessToken::new("demo")?)?;
    let directory = env::temp_dir().join(format!("box-longpoll-once-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let file = directory.join("events.db");
    for run in ["first run", "second run, after a kill"] {
        follow(&client, &file, Some(4)).await?;
        let count = "SELECT count(*), count(DISTINCT json ->> 'event_id') FROM events";
        let (events, ids): (i64, i64) =
            open(&file)?.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        eprintln!("{run}: {events} events are stored, with {ids} ids");
    }
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}
