//! [`OnError`]: what happens if an event can't be written.

use std::path::PathBuf;
use std::str::FromStr;

/// The policy after an error of a sink. Under any policy, the program ends if a receiver wants no
/// more events at all.
#[derive(Clone, Debug)]
pub(crate) enum OnError {
    /// The program ends.
    Stop,
    /// The event is tried again, without a limit.
    Retry,
    /// An event that is refused goes to this file after a few attempts, and the next one follows.
    /// While the sink is unavailable, the event is tried again without a limit.
    DeadLetter(PathBuf),
    /// The next event follows.
    Skip,
}

impl FromStr for OnError {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("dead-letter", file)) if !file.is_empty() => Ok(Self::DeadLetter(file.into())),
            None if text == "stop" => Ok(Self::Stop),
            None if text == "retry" => Ok(Self::Retry),
            _ => Err("not one of stop, retry and dead-letter:FILE"),
        }
    }
}
