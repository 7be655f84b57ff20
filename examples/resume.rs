//! Follows an account with a checkpoint: kill the program at any moment and start it again, and no
//! event is missing.
//!
//! ```sh
//! BOX_ACCESS_TOKEN=… cargo run --example resume -- events.checkpoint
//! ```
//!
//! Each event is written as a line of JSON. Lines that were not yet acknowledged when the program
//! ended are written twice. Without an access token, or with `--demo`, a fake Box inside the
//! program shows that. `BOX_API` names another API on this machine, such as `box-emulator`.

mod common;

use std::env;
use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use box_longpoll::checkpoint::CheckpointFile;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, LongPollClient, StartAt, Update};
use box_longpoll_testkit::{EmulatorServer, Settings};

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
            let file = env::args_os().nth(1);
            let file = file.unwrap_or_else(|| "events.checkpoint".into());
            follow(&client, CheckpointFile::open(file)?, None).await
        }
        None => demonstrate().await,
    }
}

/// Writes the events of one batch after the other, and acknowledges each batch.
///
/// After `leave_after` batches it returns without acknowledging the last one, as if the program was
/// killed there.
async fn follow(
    client: &Client,
    store: CheckpointFile,
    leave_after: Option<usize>,
) -> Result<(), Box<dyn Error>> {
    let mut updates = client.subscribe(store, "my account", StartAt::Now);
    let mut batches = 0;
    while let Some(update) = updates.next().await {
        match update? {
            Update::Batch(batch) => {
                let mut out = io::stdout().lock();
                for event in &batch {
                    // In JSON a line break is white space between tokens, and not allowed in
                    // strings.
                    writeln!(out, "{}", event.raw().replace(['\n', '\r'], " "))?;
                }
                out.flush()?;
                batches += 1;
                if leave_after == Some(batches) {
                    return Ok(());
                }
                batch.ack().await?;
            }
            Update::PossibleGap(gap) => eprintln!("{gap}"),
            Update::Started(_) | Update::Moved(_) => {}
        }
    }
    Ok(())
}

/// Follows the fake Box in two runs. The second begins with the events that the first did not
/// acknowledge.
async fn demonstrate() -> Result<(), Box<dyn Error>> {
    eprintln!("this is a fake Box (set BOX_ACCESS_TOKEN to follow the real one)");
    let fake_box = EmulatorServer::start_with(Settings {
        rate: 4.0,
        ..Settings::default()
    });
    let client = common::client_of(fake_box.origin(), AccessToken::new("demo")?)?;
    // The checkpoint is useless without this fake Box, so it goes to a temporary directory.
    let directory = env::temp_dir().join(format!("box-longpoll-resume-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let file = directory.join("events.checkpoint");
    for run in ["first run", "second run, after a kill"] {
        eprintln!("{run}:");
        follow(&client, CheckpointFile::open(&file)?, Some(3)).await?;
    }
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}
