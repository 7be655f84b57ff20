//! The emulator as a program: the arguments, and what the program does with them.
//!
//! `box-emulator` and `box-tail emulator` are this program. It lets tests in any language use the
//! emulator, and is controlled over HTTP. Start from [`ServerArguments`].

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;
use clap::error::ErrorKind;
use serde_json::{Value, json};

use crate::{AdminLogsOrder, Application, Config, EmulatorServer, PastEvents, Settings};

/// The arguments of a program that serves the emulator.
#[derive(Debug, Args)]
pub struct ServerArguments {
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
    /// Further settings, as a JSON object; `admin_logs_order` is `chronological` if it is not set here
    #[arg(long, value_name = "JSON", value_parser = |text: &str| serde_json::from_str::<Value>(text))]
    settings: Option<Value>,
}

impl ServerArguments {
    /// Starts the server.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ValueValidation`] if a setting is not possible, or if the server can't be
    /// started on the address.
    pub fn start(&self) -> Result<EmulatorServer, clap::Error> {
        let config = self.config().map_err(refused)?;
        let address = SocketAddr::new(self.address, self.port);
        let server = EmulatorServer::start_on(address, config)
            .map_err(|error| refused(format!("the server on {address} did not start: {error}")))?;
        for application in &self.application {
            server.register(application.clone());
        }
        for (account, count) in &self.past_events {
            let past = PastEvents {
                seed: self.seed,
                ..PastEvents::year_until(server.unix(), *count)
            };
            server.append_past(account, &past);
        }
        Ok(server)
    }

    /// Returns the configuration. The arguments have precedence over `--settings`.
    ///
    /// The past events of an enterprise are in the order of time, as at Box. In the order of arrival,
    /// a range of the past would never end while `--rate` adds events.
    fn config(&self) -> Result<Config, String> {
        let mut settings = Settings {
            admin_logs_order: AdminLogsOrder::Chronological,
            ..Settings::default()
        };
        if let Some(change) = &self.settings {
            settings = settings.changed_by(change)?;
        }
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

/// Prints the origin of the server and, with `--tls`, the certificate of its authority. Then serves
/// until the process ends.
///
/// # Errors
///
/// Returns an error if standard output can't be written.
pub fn serve(server: EmulatorServer) -> io::Result<()> {
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

/// Returns the error for arguments that can't be used.
fn refused(message: String) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, message)
}
