//! The code that the examples share.
//!
//! It reads the environment and the arguments, and makes a client of an API on this machine.
//! [`end`] ends a program: it prints an error with its causes, on one line.

#![allow(dead_code, reason = "each example has its own use for it")]

use std::env::{self, VarError};
use std::error::Error;
use std::process::ExitCode;

use box_longpoll::AccessToken;
#[cfg(feature = "reqwest")]
use box_longpoll::{LongPollClient, config::RealtimeHosts, transports::ReqwestTransport};

/// Returns the access token of the environment, or `None` to show the demo: `--demo` is an
/// argument, or `BOX_ACCESS_TOKEN` is not set.
///
/// # Errors
///
/// Returns an error that names the variable if it is set and holds no access token.
pub(crate) fn access_token() -> Result<Option<AccessToken>, Box<dyn Error>> {
    const NAME: &str = "BOX_ACCESS_TOKEN";
    let token = if demo_is_named() {
        None
    } else {
        variable(NAME)?
    };
    let token = token.map(AccessToken::new).transpose();
    token.map_err(|error| format!("{NAME}: {error}").into())
}

/// Returns `true` if an argument is `--demo`.
pub(crate) fn demo_is_named() -> bool {
    env::args_os().skip(1).any(|argument| argument == "--demo")
}

/// Returns the N of `--count N`, or [`usize::MAX`] without that argument.
///
/// # Errors
///
/// Returns an error if N is missing, or not a number.
pub(crate) fn count() -> Result<usize, String> {
    let mut arguments = env::args().skip_while(|argument| argument != "--count");
    if arguments.next().is_none() {
        return Ok(usize::MAX);
    }
    let count = arguments.next().unwrap_or_default();
    let parsed = count.parse();
    parsed.map_err(|error| format!("--count {count:?}: {error}"))
}

/// Returns the value of an environment variable, or `None` if it is not set.
///
/// # Errors
///
/// Returns an error if the variable is empty, or not text: most likely a script failed to fill it.
/// The error does not show the value, which may be a secret.
pub(crate) fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Err(format!(
            "{name} is set, but empty: fill it, or unset it to do without"
        )),
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(format!("{name} is not text")),
    }
}

/// Prints the error of a program, if there is one, and returns the exit code.
pub(crate) fn end(outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Returns the texts of an error and its causes, without texts that repeat an earlier one.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text += &format!(": {said}");
        }
        cause = error.source();
    }
    // A terminal obeys the control characters that it receives.
    text.replace(char::is_control, " ")
}

/// Returns a URL in quotes, without the password that it may hold.
pub(crate) fn shown(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("{:?}", format!("…@{rest}")),
        None => format!("{url:?}"),
    }
}

/// Returns a client of an API on this machine, which has its realtime servers there too.
///
/// # Errors
///
/// Returns an error that names `BOX_API` if the API's origin can't be used.
#[cfg(feature = "reqwest")]
pub(crate) fn client_of(
    api: &str,
    token: AccessToken,
) -> Result<LongPollClient<ReqwestTransport>, Box<dyn Error>> {
    let client = LongPollClient::builder()
        .api_origin(api)
        .realtime_hosts(RealtimeHosts::default().allow_loopback())
        .build(ReqwestTransport::new()?, token);
    Ok(client.map_err(|error| format!("BOX_API {}: {error}", shown(api)))?)
}
