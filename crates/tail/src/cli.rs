//! [`Cli`]: the command line, with one variant of [`Command`] for each subcommand.
//!
//! `follow` is the default: if the first argument is an option, the command line is one of
//! `follow`. Each subcommand has its arguments in its own module.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Command as ClapCommand, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::audit::AuditArguments;
use crate::check::{self, CheckArguments};
use crate::completions::CompletionsArguments;
use crate::config;
use crate::doctor::DoctorArguments;
use crate::emulator::EmulatorArguments;
use crate::follow::FollowArguments;
use crate::listen::ListenArguments;
use crate::man::ManArguments;
use crate::positions::PositionsArguments;
use crate::running::RunningArguments;

/// Follows Box: shows and stores what happens in an account or an enterprise
#[derive(Parser)]
#[command(name = "box-tail", version, after_help = include_str!("after_help.txt").trim_end())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands. Those without a text here have it at their arguments.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Follows the events of a user or an enterprise (the default)
    #[command(
        long_about = include_str!("about.txt").trim_end(),
        after_help = include_str!("follow/after_help.txt").trim_end()
    )]
    Follow(Box<FollowArguments>),
    /// Sends events to a URL on this machine, as webhooks
    Listen(Box<ListenArguments>),
    Doctor(DoctorArguments),
    Audit(AuditArguments),
    Positions(PositionsArguments),
    Emulator(EmulatorArguments),
    /// Checks the options of follow and the configuration file
    ///
    /// It prints each setting and its origin, as the lines of a configuration file, and sends no
    /// request. The exit code is 2 if follow would refuse a setting, and otherwise 0.
    Check(Box<CheckArguments>),
    /// Prints the completions of a shell
    Completions(CompletionsArguments),
    /// Prints or writes the manual pages
    Man(ManArguments),
}

impl Cli {
    /// Reads the arguments of the program and its other settings, and starts the log. Ends the
    /// program if they are wrong.
    pub(crate) fn of_program() -> Self {
        let program = Self::command();
        let line = with_command(std::env::args_os().collect());
        let (matches, settings) = config::parse(&program, line);
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if let Some((name, matches)) = matches.subcommand()
            && let Some(command) = program.find_subcommand(name)
        {
            settings.warn_of_visible_secrets(command);
            if matches.try_contains_id("log").is_ok()
                && let Ok(running) = RunningArguments::from_arg_matches(matches)
            {
                running.start_log();
            }
            if let Command::Check(arguments) = &mut cli.command {
                arguments.listing = check::listing(command, matches, &settings);
            }
        }
        cli
    }
}

/// Returns the program with the options of `follow` beside its commands, as a user may give them.
pub(crate) fn with_options_of_follow(program: ClapCommand) -> ClapCommand {
    let follow = program.find_subcommand("follow").expect("it is a command");
    let options: Vec<_> = follow.get_arguments().cloned().collect();
    program.args(options)
}

/// Adds `follow` if the first argument is not a command, unless it is one for help or the version.
fn with_command(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let first = arguments.get(1).map(|argument| argument.to_string_lossy());
    let is_option = |first: &str| {
        first.starts_with('-') && !["-h", "--help", "-V", "--version"].contains(&first)
    };
    if first.is_none_or(|first| is_option(&first)) {
        let end = arguments.len().min(1);
        arguments.insert(end, "follow".into());
    }
    arguments
}

/// Ends the program in the same way as clap does if an argument is wrong, with the usage of the
/// command that was given.
pub(crate) fn usage_error(sentence: &str) -> ! {
    let mut program = Cli::command();
    // The names of commands are complete then, such as `box-tail follow`.
    program.build();
    let line = with_command(std::env::args_os().collect());
    let name = line.get(1).map(|name| name.to_string_lossy());
    let command = name.and_then(|name| program.find_subcommand(&*name).cloned());
    let mut command = command.unwrap_or(program);
    command.error(ErrorKind::ValueValidation, sentence).exit()
}
