//! Follows many users in one loop, with one token that may act as each of them.
//!
//! ```sh
//! BOX_ACCESS_TOKEN=… cargo run --example many_accounts -- 12345678 23456789
//! ```
//!
//! The arguments are the users' ids. Without an access token, or with `--demo`, the program follows
//! the users of a fake Box inside it. To follow accounts with tokens of their own, use
//! `client.with_tokens(…)` in place of `client.as_user(…)`.

mod common;

use std::env;
use std::error::Error;
use std::io;
use std::process::ExitCode;

use box_longpoll::config::RealtimeHosts;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, LongPollClient, StartAt, StreamMap};
use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault, Settings};

type Client = LongPollClient<ReqwestTransport>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    common::end(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    // The streams retry transient failures themselves, and log them.
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    match common::access_token()? {
        Some(token) => {
            let client = LongPollClient::new(ReqwestTransport::new()?, token);
            follow(&client, env::args().skip(1), usize::MAX).await
        }
        None => demonstrate().await,
    }
}

/// Writes the users' events, at most `most` of them.
async fn follow(
    client: &Client,
    users: impl Iterator<Item = String>,
    most: usize,
) -> Result<(), Box<dyn Error>> {
    let mut streams = StreamMap::new();
    for user in users {
        let events = client.as_user(&user)?.events(StartAt::Now);
        streams.insert(user, events);
    }
    let mut written = 0;
    while written < most
        && let Some((user, event)) = streams.next().await
    {
        match event {
            Ok(event) => {
                println!("{user}: {}", event.raw());
                written += 1;
            }
            Err(error) => {
                eprintln!("{user}: the stream ended: {}", common::with_causes(&error));
            }
        }
    }
    Ok(())
}

/// Follows twenty users of the fake Box, which forbids access to one of them.
async fn demonstrate() -> Result<(), Box<dyn Error>> {
    eprintln!("this is a fake Box (set BOX_ACCESS_TOKEN to follow the real one)");
    let fake_box = EmulatorServer::start_with(Settings {
        rate: 1.0,
        ..Settings::default()
    });
    fake_box.queue_fault(Endpoint::Events, Fault::Forbidden, 1);
    let client = LongPollClient::builder()
        .api_origin(fake_box.origin())
        .realtime_hosts(RealtimeHosts::default().allow_loopback())
        .build(ReqwestTransport::new()?, AccessToken::new("demo")?)?;
    let users = (1..=20).map(|n| n.to_string());
    follow(&client, users, 60).await
}
