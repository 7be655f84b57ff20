//! The arguments for events that are delivered one by one, to a URL or to a command.

use std::env;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

use super::{OnError, Place};
use crate::cli::usage_error;
use crate::sink::SigningSecrets;

/// The default time limit of a request. Standard Webhooks recommends 15 to 30 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The default time limit of a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// The variable with the signing secret of webhooks.
const SECRET: &str = "BOX_TAIL_WEBHOOK_SECRET";

/// The name of the signing secret among the credentials of systemd.
const CREDENTIAL: &str = "box-webhook-secret";

/// The delivery of events to a URL or to a command
#[derive(Args, Default)]
#[command(next_help_heading = "Output")]
pub(super) struct DeliveryArguments {
    /// After an error: `stop`, the default for files and standard output; `retry` without a limit,
    /// the default for a URL and a command, which may be down for a moment; or `dead-letter:FILE`,
    /// where events go that are refused three times
    #[arg(long, value_name = "POLICY")]
    on_error: Option<OnError>,

    /// The time limit of a request or a command, such as `10s` [default: 30s, and 60s for a command]
    #[arg(long, value_name = "TIME", value_parser = time_limit)]
    delivery_timeout: Option<Duration>,

    /// A file with the secret that signs webhooks, `whsec_…`; otherwise `BOX_TAIL_WEBHOOK_SECRET`.
    /// Without a secret, webhooks are not signed
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Sends up to N events in each request, as a JSON array
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
    webhook_batch: Option<u16>,
}

impl DeliveryArguments {
    /// Ends the program if there is an argument for webhooks, because the events go elsewhere. A
    /// secret may stay: it may belong to the service, and not to this run.
    pub(super) fn refuse_webhook(&self) {
        if self.webhook_batch.is_some() {
            usage_error("--webhook-batch needs --to with a URL");
        }
    }

    /// Returns the policy after an error. Ends the program if it does not suit the place.
    pub(super) fn on_error(&self, place: &Place) -> OnError {
        match (place, &self.on_error) {
            (Place::Stdout, Some(OnError::Retry | OnError::DeadLetter(_))) => usage_error(
                "--on-error: standard output can't be written again: use --to or --exec, or stop",
            ),
            (_, Some(on_error)) => on_error.clone(),
            (Place::Webhook(_) | Place::Command(_), None) => OnError::Retry,
            (Place::Stdout | Place::JsonLines(_) | Place::Sqlite(_), None) => OnError::Stop,
        }
    }

    pub(super) fn secrets(&self) -> Option<SigningSecrets> {
        signing_secrets(self.secret_file.as_deref())
    }

    pub(super) fn batch(&self) -> Option<NonZeroUsize> {
        self.webhook_batch
            .and_then(|batch| NonZeroUsize::new(batch.into()))
    }

    /// Returns the number of events in a request.
    pub(super) fn batch_size(&self) -> u32 {
        self.webhook_batch.unwrap_or(1).into()
    }

    pub(super) fn request_timeout(&self) -> Duration {
        self.delivery_timeout.unwrap_or(REQUEST_TIMEOUT)
    }

    pub(super) fn command_timeout(&self) -> Duration {
        self.delivery_timeout.unwrap_or(COMMAND_TIMEOUT)
    }
}

/// Returns the signing secrets of webhooks: those in the file or, without a file, those of the
/// environment, or of systemd. Ends the program if they are not valid. The error shows no secret.
pub(crate) fn signing_secrets(file: Option<&Path>) -> Option<SigningSecrets> {
    let parse = |origin: &str, text: &str| {
        text.parse()
            .unwrap_or_else(|error| usage_error(&format!("{origin}: {error}")))
    };
    let credential = || {
        let directory = env::var_os("CREDENTIALS_DIRECTORY")?;
        let file = Path::new(&directory).join(CREDENTIAL);
        file.exists().then_some(file)
    };
    match (file, env::var_os(SECRET)) {
        (None, Some(text)) => Some(parse(SECRET, &text.to_string_lossy())),
        (file, _) => {
            let file = file.map(Path::to_owned).or_else(credential)?;
            let name = file.display().to_string();
            let text = fs::read_to_string(&file);
            let text = text.unwrap_or_else(|error| usage_error(&format!("{name}: {error}")));
            Some(parse(&name, &text))
        }
    }
}

/// Reads a time limit.
fn time_limit(text: &str) -> Result<Duration, &'static str> {
    let limit = text.parse::<SignedDuration>().ok();
    limit
        .and_then(|limit| Duration::try_from(limit).ok())
        .filter(|limit| !limit.is_zero())
        .ok_or("not a time such as 10s or 2m")
}
