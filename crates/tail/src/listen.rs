//! The command `listen`: Box's events as webhooks, for a program on this machine.
//!
//! A developer needs no public address, and no webhook at Box. Each delivery is a line on standard
//! output. If the program on this machine fails or is down, its line says so, and the next event
//! follows: this is for trying things out, and `follow --to` is for keeping every event.

use std::path::PathBuf;
use std::process::ExitCode;
use std::slice;
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::Event;
use clap::Args;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::account::Transport;
use crate::cli::usage_error;
use crate::failure;
use crate::follow::{self, StreamArguments};
use crate::output::{Format, OnError, Outlet, signing_secrets};
use crate::report::{print_line, with_causes};
use crate::sink::{Endpoint, Failure, Page, SigningSecrets, Sink, SinkError, Webhook, print};

/// The time limit of a delivery. A developer may stop the receiver in a debugger for a while.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct ListenArguments {
    /// The URL of a program on this machine, such as `http://localhost:3000/hook`
    #[arg(long, value_name = "URL")]
    forward_to: String,

    /// Signs with the secret in this file, `whsec_…`; otherwise with `BOX_TAIL_WEBHOOK_SECRET`, or
    /// with a new secret, which the program shows at the start
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Tries an event again until it is delivered, instead of going on with the next one
    #[arg(long)]
    retry: bool,

    #[command(flatten)]
    stream: StreamArguments,
}

/// A webhook that prints a line for each attempt to deliver an event.
struct Forward(Webhook);

#[async_trait]
impl Sink for Forward {
    async fn write(&mut self, page: Page<'_>) -> Result<(), SinkError> {
        for (written, event) in page.events.iter().enumerate() {
            let start = Instant::now();
            let response = self.0.post(slice::from_ref(event)).await;
            let outcome = match &response {
                Ok(response) => response.status().to_string(),
                Err(error) => with_causes(error),
            };
            let line = line(event, &outcome, start.elapsed());
            let checked = self.0.check(response, written);
            let written = written + usize::from(checked.is_ok());
            print(line).await.map_err(|error| unseen(error, written))?;
            checked?;
        }
        Ok(())
    }

    fn time_limit(&self) -> Duration {
        self.0.time_limit()
    }
}

/// Returns the error of a line that could not be printed. It ends the command: another attempt would
/// deliver the event again, and nobody sees the deliveries any more.
fn unseen(error: SinkError, written: usize) -> SinkError {
    match error.kind() {
        Failure::ReaderLeft => error,
        _ => SinkError::new(Failure::Permanent, written, "standard output").because(error),
    }
}

/// Runs the command, and returns the exit code of the program.
pub(crate) async fn run(arguments: ListenArguments) -> ExitCode {
    let endpoint = arguments.endpoint();
    let secrets = match signing_secrets(arguments.secret_file.as_deref()) {
        Some(secrets) => secrets,
        None => match SigningSecrets::random() {
            Ok((secrets, text)) => {
                print_line(&format!("signing secret {text}"));
                secrets
            }
            Err(error) => return failure(&format!("cannot create a secret: {error}")),
        },
    };
    let on_error = if arguments.retry {
        OnError::Retry
    } else {
        OnError::Skip
    };
    let outlet = |transport: &Transport, _: &str| {
        let webhook = Webhook {
            transport: transport.clone(),
            endpoint,
            secrets: Some(secrets),
            format: Format::Json,
            batch: None,
            timeout: TIMEOUT,
        };
        Outlet::new(Box::new(Forward(webhook)), None, on_error)
    };
    follow::run_into(arguments.stream, outlet).await
}

impl ListenArguments {
    /// Returns the receiver. Ends the program if it is not on this machine.
    fn endpoint(&self) -> Endpoint {
        let url = &self.forward_to;
        let url = if url.contains("://") {
            url.clone()
        } else {
            format!("http://{url}")
        };
        match url.parse::<Endpoint>() {
            Ok(endpoint) if endpoint.is_loopback() => endpoint,
            Ok(endpoint) => usage_error(&format!(
                "--forward-to is for this machine: `box-tail follow --to` sends events to {}",
                endpoint.origin()
            )),
            Err(error) => usage_error(&format!("--forward-to: {error}")),
        }
    }
}

/// Returns the line for an attempt to deliver an event.
fn line(event: &Event, outcome: &str, duration: Duration) -> String {
    let time = Timestamp::now();
    // A text of the server may contain any characters.
    let kind = event.event_type().map_or_else(
        || "-".into(),
        |kind| kind.as_str().escape_debug().to_string(),
    );
    let duration = duration.as_millis();
    format!("{time:.0}  {kind}  {outcome}  {duration} ms\n")
}
