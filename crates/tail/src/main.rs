#![doc = include_str!("about.txt")]

mod arguments;
mod backend;
mod batches;
mod credentials;
mod follow;
mod line;
mod output;
mod realtime_hosts;
mod report;

use std::io::{self, IsTerminal as _};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use box_longpoll::config::RealtimeHosts;
use box_longpoll::{ErrorKind, TokenSource};
use box_longpoll_testkit::{EmulatorServer, Settings};
use clap::Parser as _;
use tokio::time::timeout;

use self::arguments::{Account, Arguments, usage_error};
use self::credentials::{Source, Unusable};
use self::follow::{End, follow};
use self::line::Line;
use self::output::{Format, Output};
use self::report::{Report, with_causes};

/// Events a second of the fake Box: enough to look alive, few enough to read.
const DEMO_RATE: f64 = 4.0;

/// What a shell reports of a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failure(&format!("there is no runtime to run on: {error}")),
    };
    let code = runtime.block_on(tail(arguments));
    // A reader that has stopped reading must not keep a program that was interrupted.
    runtime.shutdown_background();
    code
}

async fn tail(arguments: Arguments) -> ExitCode {
    let transport = match arguments.transport() {
        Ok(transport) => transport,
        Err(error) => {
            return failure(&format!("HTTP can't be set up: {}", with_causes(&error)));
        }
    };
    let mut settings = arguments.settings();
    let (source, fake_box) = match arguments.account() {
        Account::Real(source) => (source, None),
        Account::Demo => {
            report::say(
                "this is a fake Box inside the program, and its events are made up (set BOX_ACCESS_TOKEN to follow the real one)",
            );
            let fake_box = EmulatorServer::start_with(Settings {
                rate: DEMO_RATE,
                ..Settings::default()
            });
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
        Err(Unusable::Argument(error)) => usage_error(&error),
        Err(Unusable::CredentialFile(error)) => return failure(&with_causes(&error)),
    };
    let facade = match arguments.facade() {
        Ok(facade) => facade,
        Err(error) => return failure(&with_causes(&error)),
    };
    let start = arguments.from.clone();
    let mut report = Report::new(start.clone());
    let batches = match facade.batches(settings, transport, tokens.clone(), start) {
        Ok(batches) => batches,
        Err(error) if error.kind() == ErrorKind::Config => usage_error(&with_causes(&error)),
        Err(error) => return failure(&report.stopped(&error)),
    };

    let format = if arguments.json {
        Format::Json
    } else {
        Format::Readable(Line::new(in_colour()))
    };
    let mut output = Output::new(format, arguments.count);
    let end = follow(batches, &mut output, &mut report).await;
    flush(&*tokens).await;
    match end {
        End::Counted | End::ReaderGone => ExitCode::SUCCESS,
        End::Interrupted => {
            report::say(&report.resume());
            ExitCode::from(INTERRUPTED)
        }
        End::Stopped(error) => failure(&report.stopped(&error)),
        End::CantWrite(error) => {
            let resume = report.resume();
            let error = with_causes(&error);
            failure(&format!("events can't be written: {error}; {resume}"))
        }
    }
}

/// A refresh token that is being exchanged is lost where nobody waits for the next one. Ctrl-C says that nobody does.
async fn flush(tokens: &dyn TokenSource) {
    let mut settled = pin!(tokens.flush());
    if timeout(Duration::from_secs(1), &mut settled).await.is_err() {
        report::say("a refresh token is being exchanged; Ctrl-C would lose it");
        tokio::select! {
            () = settled => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

fn failure(sentence: &str) -> ExitCode {
    report::say(&format!("error: {sentence}"));
    ExitCode::FAILURE
}

/// Colour is for terminals, unless <https://no-color.org> says otherwise.
fn in_colour() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !dumb
}
