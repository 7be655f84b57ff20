//! Follows an application's service account for months: its tokens are refreshed automatically.
//!
//! ```sh
//! BOX_CLIENT_ID=… BOX_CLIENT_SECRET=… BOX_ENTERPRISE_ID=… cargo run --example service_account
//! ```
//!
//! Without a client id, or with `--demo`, the program uses an application of a fake Box inside it,
//! whose tokens live for two seconds. If your application has a key, use `auth::JwtBearer` in place
//! of `auth::ClientCredentials`. If a user has authorized it, use `auth::RefreshToken`.

mod common;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use box_longpoll::auth::{ClientCredentials, Subject};
use box_longpoll::config::RealtimeHosts;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{EventStream, LongPollClient, StartAt, TokenSource};
use box_longpoll_testkit::{Application, EmulatorServer, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    common::end(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    // The stream retries transient failures itself, and logs them.
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    if common::demo_is_named() {
        return demonstrate().await;
    }
    let Some(client_id) = common::variable("BOX_CLIENT_ID")? else {
        return demonstrate().await;
    };
    let secret = required("BOX_CLIENT_SECRET")?;
    let enterprise = Subject::enterprise(required("BOX_ENTERPRISE_ID")?);
    let transport = ReqwestTransport::new()?;
    let tokens = ClientCredentials::new(client_id, secret, enterprise).tokens(transport.clone())?;
    let events = LongPollClient::new(transport, tokens.clone()).events(StartAt::Now);
    let followed = follow(events, usize::MAX).await;
    // This grant does not need it. With `auth::RefreshToken` it prevents the loss of a refresh
    // token.
    tokens.flush().await;
    followed
}

fn required(name: &str) -> Result<String, String> {
    common::variable(name)?.ok_or_else(|| format!("{name} is not set"))
}

/// Writes the events, at most `most` of them.
async fn follow(
    mut events: EventStream<ReqwestTransport>,
    most: usize,
) -> Result<(), Box<dyn Error>> {
    let mut written = 0;
    while written < most
        && let Some(event) = events.next().await
    {
        // A permanent failure, such as a wrong secret, is an error that says what to do.
        println!("{}", event?.raw());
        written += 1;
    }
    Ok(())
}

/// Follows the fake Box, over the lifetimes of several tokens.
async fn demonstrate() -> Result<(), Box<dyn Error>> {
    eprintln!("this is a fake Box (set BOX_CLIENT_ID to follow the real one)");
    let fake_box = EmulatorServer::start_with(Settings {
        rate: 4.0,
        token_lifetime_ms: 2_000,
        issued_tokens_only: true,
        ..Settings::default()
    });
    fake_box.register(Application::new("demo", "the secret", "801234"));
    let transport = ReqwestTransport::new()?;
    let tokens = ClientCredentials::new("demo", "the secret", Subject::enterprise("801234"))
        .api_origin(fake_box.origin())
        .tokens(transport.clone())?;
    let client = LongPollClient::builder()
        .api_origin(fake_box.origin())
        .realtime_hosts(RealtimeHosts::default().allow_loopback())
        .build(transport, tokens)?;
    follow(client.events(StartAt::Now), 40).await?;
    eprintln!(
        "40 events arrived, over the lifetimes of {} tokens",
        fake_box.counters().token.requests
    );
    Ok(())
}
