//! The emulator as a program: `box-emulator --port 8787`.
//!
//! It lets tests in any language use the emulator, and is controlled over HTTP. It prints its
//! origin when it is ready and, with `--tls`, the certificate of its authority.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use box_longpoll_testkit::{Application, Config, EmulatorServer, PastEvents, Settings};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use serde_json::{Value, json};

/// An emulator of Box's events API.
///
/// Point a client at the printed address, with any token. GET /_emulator/ lists the ways to control
/// the emulator.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The port to listen on; 0 for any free port
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// The address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// The number of realistic events that are appended to every known account each second
    #[arg(long)]
    rate: Option<f64>,
    /// The number of an account's last events that are kept
    #[arg(long)]
    retention: Option<usize>,
    /// An application that may log in at /oauth2/token; may be repeated
    #[arg(long, value_name = "CLIENT_ID:SECRET:ENTERPRISE_ID", value_parser = application)]
    application: Vec<Application>,
    /// Past events of an enterprise that this account gets, over the 364 days before the start; may
    /// be repeated
    #[arg(long, value_name = "ACCOUNT:COUNT", value_parser = past_events)]
    past_events: Vec<(String, u32)>,
    /// The lifetime of issued access tokens, in milliseconds
    #[arg(long)]
    token_lifetime_ms: Option<u64>,
    /// The time that a byte takes between a client and the emulator, in milliseconds
    #[arg(long)]
    latency_ms: Option<u64>,
    /// Serve https, and print the certificate of the authority that clients must trust
    #[arg(long)]
    tls: bool,
    /// The seed of all randomness
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Further settings, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = |text: &str| serde_json::from_str::<Value>(text))]
    settings: Option<Value>,
}

impl Arguments {
    /// Returns the configuration. The arguments have precedence over `--settings`.
    fn config(&self) -> Result<Config, String> {
        let mut settings = match &self.settings {
            Some(change) => Settings::default().changed_by(change)?,
            None => Settings::default(),
        };
        let arguments = [
            ("rate", self.rate.map(Value::from)),
            ("token_lifetime_ms", self.token_lifetime_ms.map(Value::from)),
            ("latency_ms", self.latency_ms.map(Value::from)),
        ];
        for (name, value) in arguments {
            if let Some(value) = value {
                settings = settings.changed_by(&json!({ name: value }))?;
            }
        }
        settings.retention = self.retention.or(settings.retention);
        Ok(Config {
            seed: self.seed,
            tls: self.tls,
            ..Config::from(settings)
        })
    }
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let config = arguments.config().unwrap_or_else(|error| refuse(&error));
    let address = SocketAddr::new(arguments.address, arguments.port);
    let server = EmulatorServer::start_on(address, config)
        .unwrap_or_else(|error| refuse(&format!("the server on {address} did not start: {error}")));
    for application in arguments.application {
        server.register(application);
    }
    for (account, count) in arguments.past_events {
        let past = PastEvents {
            seed: arguments.seed,
            ..PastEvents::year_until(server.unix(), count)
        };
        server.append_past(&account, &past);
    }
    let mut stdout = io::stdout();
    let authority = server.authority_pem().unwrap_or_default();
    // One write, so the certificate is complete when the line can be read.
    stdout.write_all(format!("listening on {}\n{authority}", server.origin()).as_bytes())?;
    stdout.flush()?;
    server.join();
    Ok(())
}

/// Parses the argument `--application`.
fn application(text: &str) -> Result<Application, String> {
    let mut parts = text.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(client_id), Some(secret), Some(enterprise_id)) => {
            Ok(Application::new(client_id, secret, enterprise_id))
        }
        _ => Err("not of the form CLIENT_ID:SECRET:ENTERPRISE_ID".into()),
    }
}

/// Parses the argument `--past-events`.
fn past_events(text: &str) -> Result<(String, u32), String> {
    let (account, count) = text
        .rsplit_once(':')
        .ok_or("not of the form ACCOUNT:COUNT")?;
    let count = count.parse().map_err(|error| format!("{count}: {error}"))?;
    Ok((account.into(), count))
}

/// Ends the program with an error, in the way that clap reports a wrong argument.
fn refuse(message: &str) -> ! {
    Arguments::command()
        .error(ErrorKind::ValueValidation, message)
        .exit()
}
