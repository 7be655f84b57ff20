//! The settings in environment variables: `BOX_TAIL_<OPTION>` for each option.
//!
//! A variable of a switch is `true` or `false`. The values of an option that may be repeated are
//! separated by commas. A variable that names no option is ignored, because Kubernetes sets such
//! variables for a service with the name `box-tail`.

use std::env::{self, VarError};

use clap::{Arg, ArgAction, Command};

use super::{Origin, Setting, Values, wrong_variable};

const PREFIX: &str = "BOX_TAIL_";

/// The variables that have a secret, and the options in whose place they stand.
pub(super) const SECRETS: [(&str, &str); 3] = [
    ("token", "BOX_ACCESS_TOKEN"),
    ("client-secret", "BOX_CLIENT_SECRET"),
    ("secret-file", "BOX_TAIL_WEBHOOK_SECRET"),
];

/// Returns the variable that may have the secret of an option.
pub(super) fn secret_variable(option: &str) -> Option<&'static str> {
    let mut secrets = SECRETS.into_iter();
    secrets.find_map(|(name, variable)| (name == option).then_some(variable))
}

/// Returns the setting of an option, if its variable is set. Ends the program if the variable is
/// malformed.
pub(super) fn setting(arg: &Arg) -> Option<Setting> {
    let name = name(arg);
    let text = value(&name)?;
    let values = match arg.get_action() {
        ArgAction::Append => {
            Values::Texts(text.split(',').map(|part| part.trim().into()).collect())
        }
        action if action.takes_values() => Values::Texts(vec![text.into()]),
        _ => match &*text {
            "true" | "1" | "yes" | "on" => Values::Switch(true),
            "false" | "0" | "no" | "off" => Values::Switch(false),
            _ => wrong_variable(&name, "is neither true nor false"),
        },
    };
    Some(Setting::new(arg, values, Origin::Variable(name)))
}

/// Returns the value of a variable, or `None` if it is not set.
///
/// If the variable is empty or not text, most likely a script failed to fill it, so the program
/// ends.
pub(super) fn value(name: &str) -> Option<String> {
    match env::var(name) {
        Ok(value) if value.is_empty() => {
            wrong_variable(name, "is set, but empty: give it a value, or unset it")
        }
        Ok(value) => Some(value),
        Err(VarError::NotPresent) => None,
        Err(VarError::NotUnicode(_)) => wrong_variable(name, "is not text"),
    }
}

/// Returns the variables that begin as those of this program do, and name no option.
pub(super) fn ignored(follow: &Command) -> Vec<String> {
    let is_known = |variable: &str| {
        let mut options = follow
            .get_arguments()
            .filter(|arg| arg.get_long().is_some());
        options.any(|arg| name(arg) == variable)
            || SECRETS.iter().any(|(_, secret)| *secret == variable)
    };
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names: Vec<_> = names
        .filter(|name| name.starts_with(PREFIX) && !is_known(name))
        .collect();
    names.sort();
    names
}

fn name(arg: &Arg) -> String {
    let option = arg.get_long().unwrap_or_default();
    format!("{PREFIX}{}", option.to_uppercase().replace('-', "_"))
}
