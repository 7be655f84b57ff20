//! [`RunningArguments`]: the configuration file and the log, which all commands that talk to Box
//! have.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::report;

/// The way the program runs
#[derive(Args)]
#[command(next_help_heading = "Running")]
pub(crate) struct RunningArguments {
    /// Reads options from this TOML file, such as `checkpoint = "box.checkpoint"`. Each option can
    /// also be an environment variable, such as `BOX_TAIL_CHECKPOINT`. The command line counts
    /// most, then the variables, then the file; `box-tail check` shows the result
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Logs to standard error: `error`, `warn`, `info`, `debug` or `trace`, or a filter such as
    /// `box_longpoll=debug,hyper=warn`
    #[arg(long, value_name = "LEVEL|FILTER", value_parser = filter)]
    log: Option<String>,

    /// The format of the log
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

/// The formats of a log.
#[derive(Clone, Copy, Default, ValueEnum)]
enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// A JSON object on each line
    Json,
}

impl RunningArguments {
    /// Starts the log, if there is one.
    pub(crate) fn start_log(&self) {
        let Some(filter) = &self.log else { return };
        let filter = EnvFilter::try_new(directives(filter)).expect("the filter was parsed before");
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(|| ReportWriter)
            .with_ansi(false);
        match self.log_format {
            LogFormat::Text => log.init(),
            LogFormat::Json => log.json().flatten_event(true).init(),
        }
    }
}

/// Checks a level or a filter.
fn filter(text: &str) -> Result<String, String> {
    let is_word = text.chars().all(char::is_alphanumeric);
    if is_word && text.parse::<LevelFilter>().is_err() {
        return Err("not one of the levels error, warn, info, debug and trace".into());
    }
    let parsed = EnvFilter::try_new(directives(text));
    parsed.map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// Returns the filter for a level: it is the level of this program and its library. The HTTP
/// libraries log what may be a secret, and only a filter that names them enables more than their
/// warnings.
fn directives(text: &str) -> String {
    match text.parse::<LevelFilter>() {
        Ok(level) => {
            let others = level.min(LevelFilter::WARN);
            format!("{others},box_longpoll={level},box_tail={level}")
        }
        Err(_) => text.to_owned(),
    }
}

/// Writes each event of the log as the report writes its lines, so that it does not break the
/// status on a terminal.
struct ReportWriter;

impl Write for ReportWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        report::print_line(String::from_utf8_lossy(event).trim_end());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
