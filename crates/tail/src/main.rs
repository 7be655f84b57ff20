#![doc = include_str!("about.txt")]

mod arguments;
mod backend;
mod batches;
mod credentials;
mod enterprise_arguments;
mod filter_arguments;
mod follow;
mod line;
mod output;
mod progress;
mod realtime_hosts;
mod report;

use std::io::{self, IsTerminal as _};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use box_longpoll::config::RealtimeHosts;
use box_longpoll::{ErrorKind, TokenSource};
use box_longpoll_testkit::{AdminLogsOrder, EmulatorServer, PastEvents, Settings};
use clap::Parser as _;
use tokio::time::timeout;

use self::arguments::{Account, Arguments, usage_error};
use self::credentials::{CredentialError, Source};
use self::follow::{End, follow};
use self::line::Line;
use self::output::{Format, Output};
use self::report::{Live, Report, with_causes};

/// The rate of the fake Box, in events per second. It is low enough to read each line.
const DEMO_RATE: f64 = 4.0;

/// The number of events of the last year in the fake Box of an enterprise.
const DEMO_PAST_EVENTS: u32 = 20_000;

/// The exit code after Ctrl-C, the same as a shell reports for a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failure(&format!("cannot start the async runtime: {error}")),
    };
    let code = runtime.block_on(tail(arguments));
    // A thread may still be blocked because the reader of the output does not read. Do not wait for
    // it.
    runtime.shutdown_background();
    code
}

/// Runs the program, and returns its exit code.
async fn tail(arguments: Arguments) -> ExitCode {
    let transport = match arguments.transport() {
        Ok(transport) => transport,
        Err(error) => {
            return failure(&format!("cannot set up HTTP: {}", with_causes(&error)));
        }
    };
    let mut settings = arguments.settings();
    let (source, fake_box) = match arguments.account() {
        Account::Real(source) => (source, None),
        Account::Demo => {
            report::print_line(
                "this is a fake Box inside the program, and its events are made up (set \
                 BOX_ACCESS_TOKEN to follow the real one)",
            );
            let fake_box = EmulatorServer::start_with(Settings {
                rate: DEMO_RATE,
                admin_logs_order: AdminLogsOrder::Chronological,
                ..Settings::default()
            });
            if arguments.enterprise().is_some() {
                let past = PastEvents::year_until(fake_box.unix(), DEMO_PAST_EVENTS);
                fake_box.append_past(arguments.as_user.as_deref().unwrap_or("demo"), &past);
            }
            (Source::demo(), Some(fake_box))
        }
    };
    if let Some(fake_box) = &fake_box {
        settings = settings
            .api_origin(fake_box.origin())
            .realtime_hosts(RealtimeHosts::default().allow_loopback());
    }
    let tokens = match source.tokens(arguments.api.as_deref(), transport.clone()) {
        Ok(tokens) => tokens,
        Err(CredentialError::Argument(error)) => usage_error(&error),
        Err(CredentialError::CredentialFile(error)) => return failure(&with_causes(&error)),
    };
    let mode = match arguments.mode() {
        Ok(mode) => mode,
        Err(error) => return failure(&with_causes(&error)),
    };
    let user = arguments.as_user.as_deref();
    let start = arguments.start();
    let enterprise = arguments.enterprise();
    let live = match enterprise {
        Some(_) => Live::AtAnInterval,
        None => Live::Listening,
    };
    let mut report = Report::new(start.clone(), live);
    let account = (user, enterprise);
    let batches = match mode.batches(settings, account, transport, tokens.clone(), start) {
        Ok(batches) => batches,
        Err(error) if error.kind() == ErrorKind::Config => usage_error(&with_causes(&error)),
        Err(error) => return failure(&report.stopped(&error)),
    };

    let format = if arguments.json {
        Format::Json
    } else {
        Format::Readable(Line::new(is_colored()))
    };
    let mut output = Output::new(format, arguments.count);
    let handle = batches.handle();
    let end = follow(batches, &mut output, &mut report).await;
    progress::hide();
    flush(&*tokens).await;
    match end {
        End::Counted | End::OutputClosed => ExitCode::SUCCESS,
        End::Interrupted => {
            report::complete_until(handle.complete_until());
            report::print_line(&report.resume());
            ExitCode::from(INTERRUPTED)
        }
        End::Stopped(error) => failure(&report.stopped(&error)),
        End::OutputFailed(error) => {
            let resume = report.resume();
            let error = with_causes(&error);
            failure(&format!("cannot write events: {error}; {resume}"))
        }
    }
}

/// Waits until a running exchange of a refresh token has ended, because otherwise the token is
/// lost. A second Ctrl-C ends the wait.
async fn flush(tokens: &dyn TokenSource) {
    let mut flushed = pin!(tokens.flush());
    if timeout(Duration::from_secs(1), &mut flushed).await.is_err() {
        report::print_line("a refresh token is being exchanged: Ctrl-C now would lose it");
        tokio::select! {
            () = flushed => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

/// Prints an error, and returns the exit code of a failure.
fn failure(text: &str) -> ExitCode {
    report::print_line(&format!("error: {text}"));
    ExitCode::FAILURE
}

/// Returns `true` if the output is a terminal with colors, and the user has not disabled them by
/// `NO_COLOR` (<https://no-color.org>).
fn is_colored() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}
