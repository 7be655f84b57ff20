//! Follows a Box account over an HTTP library for which `box-longpoll` has no backend.
//!
//! ```sh
//! BOX_ACCESS_TOKEN=… cargo run --example custom_transport -- --count 20
//! ```
//!
//! `transport.rs` is the transport, over hyper-util's client. `tagged.rs` wraps it, to add a
//! header. Without an access token, or with `--demo`, the account is one of a fake Box inside the
//! program. `--count N` ends the program after N events.

#[path = "../common/mod.rs"]
mod common;
mod tagged;
mod transport;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use box_longpoll::config::RealtimeHosts;
use box_longpoll::{AccessToken, LongPollClient, StartAt};
use box_longpoll_testkit::{EmulatorServer, Settings};

use self::tagged::Tagged;
use self::transport::HyperTransport;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    common::end(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let count = common::count()?;
    // The stream retries transient failures itself, and logs them.
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let transport = Tagged(HyperTransport::new([])?);
    if let Some(token) = common::access_token()? {
        let client = LongPollClient::new(transport, token);
        return follow(&client, count).await;
    }
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
    client: &LongPollClient<Tagged<HyperTransport>>,
    count: usize,
) -> Result<(), Box<dyn Error>> {
    let mut events = client.events(StartAt::Now);
    for _ in 0..count {
        let Some(event) = events.next().await else {
            break;
        };
        println!("{}", event?.raw());
    }
    Ok(())
}
