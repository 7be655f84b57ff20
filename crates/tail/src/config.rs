//! The settings of a command: its options, and the places that they come from.
//!
//! An option that is not on the command line may come from an environment variable, from the file
//! of `--config`, or from a credential of systemd. [`parse`] adds such options to the command line,
//! and clap parses the result. So clap's list of options is the only one. [`Settings`] remembers
//! the origin of each option, for errors and for the command `check`.

mod error;
mod file;
mod layers;
mod variables;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args as _, Command, Id};

use self::layers::Layers;
use crate::account::AccountArguments;
use crate::cli::usage_error;

/// The command whose options are the keys of a file.
const FOLLOW: &str = "follow";

/// The commands that take all of their options from every place. The others take those of the
/// account.
const FULL: [&str; 2] = [FOLLOW, "check"];

/// A command that takes some options of `follow` too, because it examines what `follow` needs.
const DOCTOR: (&str, [&str; 2]) = ("doctor", ["checkpoint", "enterprise"]);

/// The id of the option that names the file.
pub(crate) const FILE: &str = "config";

/// The options that were given, from all places.
#[derive(Default)]
pub(crate) struct Settings {
    /// The options that are not on the command line come after the others, each place in the order
    /// of its precedence.
    list: Vec<Setting>,
    /// Variables that look like settings, but are none.
    ignored: Vec<String>,
}

/// An option that was given.
pub(crate) struct Setting {
    id: Id,
    name: String,
    values: Values,
    origin: Origin,
}

/// The values of an option.
#[derive(PartialEq)]
pub(crate) enum Values {
    /// The option has no value. It is on or off.
    Switch(bool),
    /// The only value of an option, or the values of one that may be repeated.
    Texts(Vec<OsString>),
    /// A secret that takes the place of the option, and stays in its variable.
    Secret,
}

/// The place that an option comes from.
#[derive(PartialEq)]
pub(crate) enum Origin {
    CommandLine,
    /// The environment variable with this name.
    Variable(String),
    /// A line of a file.
    File(PathBuf, usize),
    /// The credential of systemd with this name.
    Credential(&'static str),
    /// No place: it is the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Variable(name) => f.write_str(name),
            Self::File(file, line) => write!(f, "{}:{line}", file.display()),
            Self::Credential(name) => write!(f, "systemd credential {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Parses a command line, with the settings from all other places. Ends the program if they are
/// wrong.
pub(crate) fn parse(program: &Command, mut line: Vec<OsString>) -> (ArgMatches, Settings) {
    let mut settings = Settings::default();
    // Errors are reported by the second attempt. An option that this one lacks may stand in a file.
    let first = program.clone().ignore_errors(true);
    let given = first.try_get_matches_from(&line);
    let given = given.unwrap_or_else(|help_or_version| help_or_version.exit());
    if let Some((name, given)) = given.subcommand()
        && let Some(command) = program.find_subcommand(name)
        && command.get_arguments().any(|arg| arg.get_id() == FILE)
    {
        let follow = program.find_subcommand(FOLLOW).expect("it is a command");
        settings = Layers::settings(command, follow, given);
        // The name of the command is the first argument, because the program has no options.
        line.splice(2..2, settings.arguments());
    }
    match program.clone().try_get_matches_from(line) {
        Ok(matches) => (matches, settings),
        Err(error) => settings.explain(&error, program),
    }
}

/// Returns the options that a command takes from the environment and a file.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    let account = AccountArguments::augment_args(Command::new(""));
    let account: HashSet<Id> = account
        .get_arguments()
        .map(|arg| arg.get_id().clone())
        .collect();
    let name = command.get_name();
    let takes_all = FULL.contains(&name);
    let (doctor, examined) = DOCTOR;
    let takes_examined = name == doctor;
    command.get_arguments().filter(move |arg| {
        let id = arg.get_id();
        let is_examined = takes_examined && examined.contains(&id.as_str());
        arg.get_long().is_some() && (takes_all || is_examined || account.contains(id))
    })
}

/// Returns `true` if the value of an option is a secret, which nobody may see.
///
/// The attribute also hides values of environment variables in clap's help, so clap has no list of
/// secrets beside it.
pub(crate) fn is_secret(arg: &Arg) -> bool {
    arg.is_hide_env_values_set()
}

impl Setting {
    fn of_command_line(arg: &Arg, given: &ArgMatches) -> Option<Self> {
        let id = arg.get_id().as_str();
        if given.value_source(id) != Some(ValueSource::CommandLine) {
            return None;
        }
        let values = if arg.get_action().takes_values() {
            Values::Texts(given.get_raw(id)?.map(OsStr::to_owned).collect())
        } else {
            Values::Switch(true)
        };
        Some(Self::new(arg, values, Origin::CommandLine))
    }

    fn new(arg: &Arg, values: Values, origin: Origin) -> Self {
        Self {
            id: arg.get_id().clone(),
            name: arg.get_long().unwrap_or_default().to_owned(),
            values,
            origin,
        }
    }

    /// Returns the option as arguments of a command line.
    fn arguments(&self) -> Vec<OsString> {
        let option = OsString::from(format!("--{}", self.name));
        match &self.values {
            Values::Switch(true) => vec![option],
            Values::Switch(false) | Values::Secret => Vec::new(),
            Values::Texts(texts) => texts
                .iter()
                .map(|text| [&option, OsStr::new("="), text].into_iter().collect())
                .collect(),
        }
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl Settings {
    /// Returns the options of other places than the command line, as arguments.
    fn arguments(&self) -> Vec<OsString> {
        let list = self.list.iter();
        list.filter(|setting| setting.origin != Origin::CommandLine)
            .flat_map(Setting::arguments)
            .collect()
    }

    /// Returns the option with this id, if it was given.
    pub(crate) fn get(&self, id: &Id) -> Option<&Setting> {
        self.list.iter().find(|setting| setting.id == *id)
    }

    /// Returns the variables that look like settings, but are none.
    pub(crate) fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Prints a warning for each secret on the command line.
    pub(crate) fn warn_of_visible_secrets(&self, command: &Command) {
        for arg in command.get_arguments().filter(|arg| is_secret(arg)) {
            let setting = self.get(arg.get_id());
            if let Some(setting) = setting.filter(|it| it.origin == Origin::CommandLine) {
                let name = &setting.name;
                let variable = variables::secret_variable(name).unwrap_or_default();
                crate::report::print_line(&format!(
                    "warning: other users of this machine can see the secret of --{name}: put it \
                     into a file for --{name}-file, or into {variable}"
                ));
            }
        }
    }
}

/// Ends the program because a variable is empty or malformed. The error does not show the value,
/// which may be a secret.
fn wrong_variable(name: &str, why: &str) -> ! {
    usage_error(&format!("{name} {why}"))
}
