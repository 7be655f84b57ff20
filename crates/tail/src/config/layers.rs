//! [`Layers`]: the places that settings come from, from the strongest to the weakest.
//!
//! Each place adds the options that no stronger place has given, unless they conflict with one that
//! a stronger place has given. So `--since` on the command line wins over `from` in a file. Two
//! options of one place that conflict are an error, which clap reports.

use std::env;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, Id};

use super::{FILE, Origin, Setting, Settings, Values, file, is_secret, options, variables};

/// The credentials of systemd, and the options for the files that they are in.
const CREDENTIALS: [(&str, &str); 3] = [
    ("token-file", "box-access-token"),
    ("client-secret-file", "box-client-secret"),
    ("secret-file", "box-webhook-secret"),
];

/// The option without which the secret of an application has no use.
const APPLICATION: &str = "client-id";

/// The settings of a command, while one place after the other adds its own.
pub(super) struct Layers<'a> {
    command: &'a Command,
    list: Vec<Setting>,
}

impl<'a> Layers<'a> {
    /// Returns the settings of a command from all places. `follow` has all keys of a file. Ends the
    /// program if a place can't be read.
    pub(super) fn settings(
        command: &'a Command,
        follow: &'a Command,
        given: &ArgMatches,
    ) -> Settings {
        let of_line = |arg| Setting::of_command_line(arg, given);
        let mut layers = Self {
            command,
            list: command.get_arguments().filter_map(of_line).collect(),
        };
        let free = options(command).filter(|arg| layers.is_free(arg));
        let variables: Vec<_> = free.filter_map(variables::setting).collect();
        layers.list.extend(variables);
        let file = layers.file().map(|path| file::settings(&path, follow));
        let file = file.unwrap_or_default();
        layers.add_secret_variables(&file);
        let is_free = |setting: &Setting| {
            let arg = layers.option(&setting.name);
            arg.is_some_and(|arg| layers.is_free(arg))
        };
        let free: Vec<_> = file.into_iter().filter(is_free).collect();
        layers.list.extend(free);
        layers.add_credentials();
        Settings {
            list: layers.list,
            ignored: variables::ignored(follow),
        }
    }

    /// Returns the option with this name, if the command takes it from everywhere.
    fn option(&self, name: &str) -> Option<&'a Arg> {
        options(self.command).find(|arg| arg.get_long() == Some(name))
    }

    /// Returns `true` if no setting so far is this option, or conflicts with it.
    fn is_free(&self, arg: &Arg) -> bool {
        let is_in_the_way = |setting: &Setting| {
            let is_on = setting.values != Values::Switch(false);
            setting.id == *arg.get_id() || (is_on && self.conflict(&setting.id, arg))
        };
        !self.list.iter().any(is_in_the_way)
    }

    fn conflict(&self, id: &Id, arg: &Arg) -> bool {
        let Some(other) = self.command.get_arguments().find(|arg| arg.get_id() == id) else {
            return false;
        };
        let names = |arg: &Arg, id: &Id| {
            let conflicts = self.command.get_arg_conflicts_with(arg);
            conflicts.iter().any(|arg| arg.get_id() == id)
        };
        names(arg, id) || names(other, arg.get_id())
    }

    /// Returns the file of `--config`.
    fn file(&self) -> Option<PathBuf> {
        let setting = self.list.iter().find(|setting| setting.id == FILE)?;
        match &setting.values {
            Values::Texts(texts) => texts.first().map(PathBuf::from),
            Values::Switch(_) | Values::Secret => None,
        }
    }

    /// Adds the secrets that are themselves in variables. They count less than the other variables,
    /// and more than the settings of a file.
    fn add_secret_variables(&mut self, file: &[Setting]) {
        let has_application =
            self.has_application() || file.iter().any(|setting| setting.name == APPLICATION);
        for (name, variable) in variables::SECRETS {
            if let Some(arg) = self.usable(name, has_application)
                && let Some(secret) = variables::value(variable)
            {
                let origin = Origin::Variable(variable.to_owned());
                let secret = if is_secret(arg) {
                    Values::Texts(vec![secret.into()])
                } else {
                    Values::Secret
                };
                self.list.push(Setting::new(arg, secret, origin));
            }
        }
    }

    /// Adds the credentials that systemd has put into a directory for this program.
    fn add_credentials(&mut self) {
        let Some(directory) = env::var_os("CREDENTIALS_DIRECTORY") else {
            return;
        };
        let has_application = self.has_application();
        for (name, credential) in CREDENTIALS {
            let file = Path::new(&directory).join(credential);
            if let Some(arg) = self.usable(name, has_application).filter(|_| file.exists()) {
                let origin = Origin::Credential(credential);
                let file = Values::Texts(vec![file.into()]);
                self.list.push(Setting::new(arg, file, origin));
            }
        }
    }

    /// Returns the option for a secret, if it may be added. The secret of an application is not
    /// needed without the application.
    fn usable(&self, name: &str, has_application: bool) -> Option<&'a Arg> {
        let is_needed = has_application || !name.starts_with("client-secret");
        let option = self.option(name).filter(|_| is_needed)?;
        self.is_free(option).then_some(option)
    }

    fn has_application(&self) -> bool {
        self.list.iter().any(|setting| setting.name == APPLICATION)
    }
}
