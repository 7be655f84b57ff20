//! Errors of clap about settings that are not on the command line.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use super::{Origin, Settings, is_secret};
use crate::cli::usage_error;
use crate::report::with_causes;

impl Settings {
    /// Ends the program with an error of clap. It names the place of the setting that is wrong, and
    /// does not show a secret.
    pub(super) fn explain(&self, error: &Error, program: &Command) -> ! {
        let named = [ContextKind::InvalidArg, ContextKind::PriorArg];
        let mut settings = named.into_iter().flat_map(|kind| names(error, kind));
        let first = settings.next();
        let is_secret = first.as_ref().is_some_and(|name| {
            let mut args = program.get_subcommands().flat_map(Command::get_arguments);
            args.any(|arg| arg.get_long() == Some(name) && is_secret(arg))
        });
        if is_secret && error.kind() == ErrorKind::ValueValidation {
            let name = first.unwrap_or_default();
            let place = self.place(&name).unwrap_or_else(|| format!("--{name}"));
            let cause = std::error::Error::source(error);
            let cause = cause.map(with_causes).unwrap_or_default();
            usage_error(&format!("{place}: {cause}"));
        }
        let Some(place) = first
            .into_iter()
            .chain(settings)
            .find_map(|name| self.place(&name))
        else {
            error.exit();
        };
        let text = error.render().to_string();
        let text = text.trim_start_matches("error: ");
        let text = text.split("\n\n").next().unwrap_or(text);
        usage_error(&format!("{place}: {text}"));
    }

    /// Returns the place of an option, unless it stands on the command line.
    fn place(&self, name: &str) -> Option<String> {
        let setting = self.list.iter().find(|setting| setting.name == name)?;
        (setting.origin != Origin::CommandLine).then(|| setting.origin.to_string())
    }
}

/// Returns the names of the options in a part of an error. Clap shows them as `--count <N>`.
fn names(error: &Error, kind: ContextKind) -> Vec<String> {
    let texts = match error.get(kind) {
        Some(ContextValue::String(text)) => std::slice::from_ref(text),
        Some(ContextValue::Strings(texts)) => texts,
        _ => &[],
    };
    let name = |text: &String| {
        let name = text.strip_prefix("--")?;
        name.split([' ', '=']).next().map(str::to_owned)
    };
    texts.iter().filter_map(name).collect()
}
