//! Follows a Box account without async, and writes each event as JSON.
//!
//! ```sh
//! BOX_ACCESS_TOKEN=… cargo run --example blocking --features blocking
//! ```
//!
//! Without an access token, or with `--demo`, the account is one of a fake Box inside the program.

mod common;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use box_longpoll::blocking::LongPollClient;
use box_longpoll::config::RealtimeHosts;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, LongPollClientBuilder, StartAt};
use box_longpoll_testkit::{EmulatorServer, Settings};

fn main() -> ExitCode {
    common::end(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    // The stream retries transient failures itself, and logs them.
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let transport = ReqwestTransport::new()?;
    if let Some(token) = common::access_token()? {
        let client = LongPollClient::new(transport, token);
        return follow(&client);
    }
    let fake_box = EmulatorServer::start_with(Settings {
        rate: 4.0,
        ..Settings::default()
    });
    let client = LongPollClientBuilder::default()
        .api_origin(fake_box.origin())
        .realtime_hosts(RealtimeHosts::default().allow_loopback())
        .build_blocking(transport, AccessToken::new("demo")?)?;
    follow(&client)
}

fn follow(client: &LongPollClient<ReqwestTransport>) -> Result<(), Box<dyn Error>> {
    for event in client.events(StartAt::Now) {
        println!("{}", event?.raw());
    }
    Ok(())
}
