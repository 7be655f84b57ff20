//! [`Findings`]: the results of the checks, each printed as soon as it is there.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::Serialize;

/// The results of the checks so far.
pub(super) struct Findings {
    /// `true` if each finding is printed as a line of JSON.
    is_json: bool,
    failures: u32,
    checks: u32,
}

/// The result of one check.
#[derive(Serialize)]
pub(super) struct Finding {
    check: &'static str,
    result: Outcome,
    detail: String,
    /// The steps that solve the problem, if there is one.
    remedy: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok,
    /// The program can follow, but not as well as it could.
    Warn,
    /// The program can't follow.
    Fail,
    /// An earlier failure made this check impossible.
    Skip,
}

impl Findings {
    pub(super) fn new(is_json: bool) -> Self {
        Self {
            is_json,
            failures: 0,
            checks: 0,
        }
    }

    pub(super) fn ok(&mut self, check: &'static str, detail: impl Into<String>) {
        self.add(check, Outcome::Ok, detail.into(), None);
    }

    pub(super) fn warn(
        &mut self,
        check: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(check, Outcome::Warn, detail.into(), Some(remedy.into()));
    }

    pub(super) fn fail(
        &mut self,
        check: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(check, Outcome::Fail, detail.into(), Some(remedy.into()));
    }

    /// Records that a check is impossible because of an earlier failure.
    pub(super) fn skip(&mut self, check: &'static str, because: &str) {
        self.add(
            check,
            Outcome::Skip,
            format!("not checked: {because}"),
            None,
        );
    }

    fn add(
        &mut self,
        check: &'static str,
        result: Outcome,
        detail: String,
        remedy: Option<String>,
    ) {
        self.checks += 1;
        self.failures += u32::from(result == Outcome::Fail);
        // A server's text could control the terminal.
        let shown = |text: String| text.replace(char::is_control, " ");
        let finding = Finding {
            check,
            result,
            detail: shown(detail),
            remedy: remedy.map(shown),
        };
        let text = if self.is_json {
            serde_json::to_string(&finding).unwrap_or_default()
        } else {
            finding.line()
        };
        // The exit code still says the result if nobody reads the lines.
        let _ = io::stdout().write_all(format!("{text}\n").as_bytes());
    }

    /// Returns the exit code: 1 if a check has failed.
    pub(super) fn exit_code(&self) -> ExitCode {
        if self.failures == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// Returns a sentence that sums up the results.
    pub(super) fn summary(&self) -> String {
        match self.failures {
            0 => format!("{} checks, no failure", self.checks),
            failures => format!("{failures} of {} checks failed", self.checks),
        }
    }
}

impl Finding {
    /// Returns the finding for people, on one line or, with a remedy, on two.
    fn line(&self) -> String {
        let result = match self.result {
            Outcome::Ok => "ok",
            Outcome::Warn => "warn",
            Outcome::Fail => "FAIL",
            Outcome::Skip => "skip",
        };
        let line = format!("{result:<6}{:<13}{}", self.check, self.detail);
        match &self.remedy {
            Some(remedy) => format!("{line}\n{:19}=> {remedy}", ""),
            None => line,
        }
    }
}
