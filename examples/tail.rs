//! Follows a Box account, and writes a line for each event.
//!
//! ```sh
//! BOX_ACCESS_TOKEN=… cargo run --example tail -- --count 20
//! ```
//!
//! Without an access token, or with `--demo`, the account is one of a fake Box inside the program.
//! `--count N` ends the program after N events. The program `box-tail`, in `crates/tail`, does
//! more.

mod common;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use box_longpoll::config::RealtimeHosts;
use box_longpoll::event::Source;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, EventType, LongPollClient, StartAt};
use box_longpoll_testkit::{EmulatorServer, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    common::end(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    // The stream retries transient failures itself, and logs them.
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let count = common::count()?;
    let transport = ReqwestTransport::new()?;
    if let Some(token) = common::access_token()? {
        return follow(&LongPollClient::new(transport, token), count).await;
    }
    eprintln!("this is a fake Box (set BOX_ACCESS_TOKEN to follow the real one)");
    let fake_box = EmulatorServer::start_with(Settings {
        rate: 4.0,
        ..Settings::default()
    });
    let client = LongPollClient::builder()
        .api_origin(fake_box.origin())
        .realtime_hosts(RealtimeHosts::default().allow_loopback())
        .build(transport, AccessToken::new("demo")?)?;
    follow(&client, count).await
}

async fn follow(
    client: &LongPollClient<ReqwestTransport>,
    count: usize,
) -> Result<(), Box<dyn Error>> {
    let mut events = client.events(StartAt::Now);
    for _ in 0..count {
        let Some(event) = events.next().await else {
            break;
        };
        let event = event?;
        let kind = event.event_type().map(EventType::as_str);
        let source = event.source();
        let item = source.as_ref().and_then(Source::name);
        let user = event.created_by().and_then(|user| user.name);
        // `Debug` escapes control characters, which a terminal would obey.
        println!(
            "{:?} {:?} by {:?}",
            kind.unwrap_or_default(),
            item.unwrap_or_default(),
            user.unwrap_or_default()
        );
    }
    Ok(())
}
