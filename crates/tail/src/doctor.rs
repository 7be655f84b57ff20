//! The command `doctor`: checks everything that following Box needs, one thing after another.
//!
//! [`run`] decides which checks are possible, and the submodules make them. Each check adds its
//! result to [`Findings`], with the steps that solve a problem. No finding shows a secret.

mod findings;
mod machine;
mod network;
mod rights;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use box_longpoll::auth::Subject;
use box_longpoll::{LongPollClient, LongPollClientBuilder, TokenSource};
use clap::Args;

use self::findings::Findings;
use self::machine::Expected;
use self::network::Way;
use crate::account::{AccountArguments, CredentialError, Source, Transport};
use crate::cli::usage_error;
use crate::demo::{DemoArguments, fake_box};
use crate::failure;
use crate::report::{self, with_causes};

/// The origin of Box's API.
const API: &str = "https://api.box.com";

/// Checks all that following Box needs, and says what to do
///
/// Give it the arguments and the environment of the program that is to follow. It takes less than a
/// minute, changes nothing at Box, and shows no token. Each line on standard output is a check:
/// `ok`, `warn` (it works, but not as well as it could), `FAIL`, or `skip` (an earlier failure makes
/// the check impossible). A line with `=>` says what to do. The exit code is 0 if no check has
/// failed, and otherwise 1.
#[derive(Args)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    demo: DemoArguments,

    /// Checks the right to read the events of the enterprise, instead of those of the user
    #[arg(long)]
    enterprise: bool,

    /// Checks this checkpoint file too
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,

    /// The time in seconds for which a poll is held, unless a signal ends it
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=30))]
    hold: u64,

    /// Prints each check as a line of JSON, with the fields `check`, `result`, `detail` and `remedy`
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    account: AccountArguments,
}

/// Runs the command, and returns the exit code of the program.
pub(crate) async fn run(arguments: DoctorArguments) -> ExitCode {
    let transport = match arguments.account.transport() {
        Ok(transport) => transport,
        Err(error) => {
            return failure(&format!("cannot set up HTTP: {}", with_causes(&error)));
        }
    };
    let mut findings = Findings::new(arguments.json);
    let fake_box = arguments.demo.demo.then(|| fake_box(None));
    let mut settings = arguments.account.settings(LongPollClient::builder());
    if let Some(fake_box) = &fake_box {
        let origin = fake_box.origin();
        settings = settings
            .api_origin(origin)
            .realtime_hosts(rights::fake_hosts());
    }
    let source = if arguments.demo.demo {
        Some(Source::demo())
    } else {
        arguments.account.source()
    };
    let origin = match (&fake_box, &arguments.account.api) {
        (Some(fake_box), _) => fake_box.origin(),
        (None, Some(api)) => api.trim_end_matches('/'),
        (None, None) => API,
    };
    let examination = Examination {
        arguments: &arguments,
        settings,
        transport,
        origin,
    };
    examination.run(source, &mut findings).await;
    report::print_line(&findings.summary());
    findings.exit_code()
}

/// The way to Box that is checked.
struct Examination<'a> {
    arguments: &'a DoctorArguments,
    settings: LongPollClientBuilder,
    transport: Transport,
    origin: &'a str,
}

impl Examination<'_> {
    /// Makes all checks that are possible.
    async fn run(self, source: Option<Source>, findings: &mut Findings) {
        match &source {
            Some(source) => findings.ok("credentials", source.description()),
            None => findings.fail(
                "credentials",
                "there are none",
                "put an access token into BOX_ACCESS_TOKEN, or give the credentials to get one: \
                 see `box-tail follow --help`; try box-tail without an account by --demo",
            ),
        }
        let is_reachable = self.check_network(findings).await;
        let tokens = source.and_then(|source| self.tokens(source, findings));
        match &tokens {
            Some(tokens) if is_reachable => self.check_rights(tokens.clone(), findings).await,
            Some(_) => findings.skip("token", "Box can't be reached"),
            None => findings.skip("token", "there are no credentials"),
        }
        machine::check_files(findings);
        if let Some(file) = &self.arguments.checkpoint {
            let user = self.arguments.account.as_user.as_ref();
            let subject = || tokens.as_ref().and_then(TokenSource::subject);
            let expected = Expected {
                subject: user.map(Subject::user).or_else(subject),
                origin: self.origin,
                is_enterprise: self.arguments.enterprise,
            };
            machine::check_checkpoint(file, &expected, findings);
        }
        if let Some(tokens) = tokens {
            tokens.flush().await;
        }
    }

    /// Checks the way to Box's API. Returns `true` if there was a response.
    async fn check_network(&self, findings: &mut Findings) -> bool {
        let backend = self.arguments.account.backend();
        let Some(way) = Way::to_api(self.origin, backend) else {
            usage_error("--api is not a URL");
        };
        if let Some(backend) = backend {
            network::check_proxy(&way, backend, findings);
        }
        if !network::check_name("dns", &way, findings).await {
            findings.skip("connection", "the host has no address");
            findings.skip("tls", "the host has no address");
            findings.skip("clock", "the host has no address");
            return false;
        }
        network::check_connection(&way, self.origin, &self.transport, findings).await
    }

    /// Returns the token source. Adds a failure if the credentials can't be used.
    fn tokens(&self, source: Source, findings: &mut Findings) -> Option<Arc<dyn TokenSource>> {
        let error = match source.tokens(Some(self.origin), self.transport.clone()) {
            Ok(tokens) => return Some(tokens),
            Err(CredentialError::Argument(error)) => error,
            Err(CredentialError::CredentialFile(error)) => with_causes(&error),
        };
        findings.fail(
            "credentials",
            error,
            "correct the credentials as the text says",
        );
        None
    }

    /// Checks the token and its rights.
    async fn check_rights(&self, tokens: Arc<dyn TokenSource>, findings: &mut Findings) {
        let account = &self.arguments.account;
        if !rights::check_token(&*tokens, findings).await {
            return;
        }
        let client = account.client(self.settings.clone(), self.transport.clone(), tokens);
        let client = match client {
            Ok(client) => client,
            Err(error) => usage_error(&with_causes(&error)),
        };
        if self.arguments.enterprise {
            return rights::check_enterprise(&client, findings).await;
        }
        let position = rights::check_events(&client, findings).await;
        let hold = Duration::from_secs(self.arguments.hold);
        let backend = account.backend();
        rights::check_realtime(&client, position.as_ref(), backend, hold, findings).await;
    }
}
