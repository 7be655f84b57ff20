//! The command `check`: the settings with which `follow` would run, and the origin of each.
//!
//! It finds the same mistakes as `follow` does before the first request, and sends none.

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Args, Command};
use toml::Value;

use crate::config::{self, Origin, Settings, Values};
use crate::follow::FollowArguments;

#[derive(Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    follow: FollowArguments,

    /// The settings, a line for each.
    #[arg(skip)]
    pub(crate) listing: String,
}

/// Runs the command, and returns the exit code of the program.
pub(crate) fn run(arguments: &CheckArguments) -> ExitCode {
    let account = arguments.follow.check();
    println!("# box-tail would follow {account}, with these settings:");
    print!("{}", arguments.listing);
    ExitCode::SUCCESS
}

/// Returns the settings as the lines of a configuration file, each with its origin.
pub(crate) fn listing(command: &Command, matches: &ArgMatches, settings: &Settings) -> String {
    let mut lines: Vec<_> = command
        .get_arguments()
        .filter_map(|arg| line(arg, matches, settings))
        .collect();
    for variable in settings.ignored() {
        lines.push(format!("# {variable} is not a setting, and is ignored"));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Returns the line of an option, if it has a value.
fn line(arg: &Arg, matches: &ArgMatches, settings: &Settings) -> Option<String> {
    // A file that has these lines can't name another file.
    let name = arg.get_long().filter(|_| arg.get_id() != config::FILE)?;
    let (value, origin) = match settings.get(arg.get_id()) {
        Some(setting) => (value(arg, setting.values()), setting.origin()),
        None if arg.get_action().takes_values() => {
            let mut texts = matches.get_raw(arg.get_id().as_str())?;
            let value = text(texts.next()?);
            return Some(format!("# {name} = {value}  # {}", Origin::Default));
        }
        None => return None,
    };
    Some(format!("{name} = {value}  # {origin}"))
}

/// Returns the value of an option. Secrets are hidden.
fn value(arg: &Arg, values: &Values) -> Value {
    match values {
        Values::Switch(is_on) => Value::Boolean(*is_on),
        Values::Secret => Value::String("(set)".into()),
        Values::Texts(_) if config::is_secret(arg) => Value::String("(set)".into()),
        Values::Texts(texts) => match &texts[..] {
            [only] => text(only),
            texts => texts.iter().map(|it| text(it)).collect::<Vec<_>>().into(),
        },
    }
}

/// Returns a value. If it is a URL, it has neither a user nor a password nor a query, because these
/// may be secret.
fn text(value: &OsStr) -> Value {
    let value = value.to_string_lossy();
    let shown = match url::Url::parse(&value) {
        Ok(mut url) if url.has_host() => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            let query = url.query().map_or("", |_| "?…");
            url.set_query(None);
            format!("{url}{query}")
        }
        _ => value.into_owned(),
    };
    Value::String(shown)
}
