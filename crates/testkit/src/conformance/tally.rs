//! A count of the failed cases of a module, for the summary after its last case.
//!
//! The test harness prints each failure by itself. The summary says how many of them are required.
//! Start from [`Tally`].

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use super::Case;

/// The counter of the cases of one `conformance_tests!`.
///
/// The test harness has no hook for its end, so the case that ends last prints the summary. If only
/// some cases are run, no summary is printed, because it would not cover the suite.
#[doc(hidden)]
#[derive(Debug)]
pub struct Tally {
    module: &'static str,
    skipped: &'static [&'static str],
    done: Mutex<Done>,
}

/// The cases that have ended so far, without the skipped ones.
#[derive(Debug)]
struct Done {
    ended: usize,
    failed: Vec<Case>,
}

impl Tally {
    #[must_use]
    pub const fn new(module: &'static str, skipped: &'static [&'static str]) -> Self {
        Self {
            module,
            skipped,
            done: Mutex::new(Done {
                ended: 0,
                failed: Vec::new(),
            }),
        }
    }

    /// Counts a case. After the last one, prints the summary if any case has failed.
    ///
    /// The harness captures the output of `eprintln!`. It does not capture direct writes to
    /// standard error, so this writes directly.
    pub fn count(&self, case: Case, failed: bool) {
        if let Some(summary) = self.summary_after(case, failed) {
            let _ = writeln!(std::io::stderr(), "\n{summary}");
        }
    }

    fn summary_after(&self, case: Case, failed: bool) -> Option<String> {
        // A skipped case runs only if the user requests ignored tests.
        if self.skipped.contains(&case.name()) {
            return None;
        }
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.ended += 1;
        if failed {
            done.failed.push(case);
        }
        let cases = Case::all().len() - self.skipped.len();
        (done.ended == cases && !done.failed.is_empty()).then(|| self.summary(cases, &done.failed))
    }

    fn summary(&self, cases: usize, failed: &[Case]) -> String {
        let mut failed = failed.to_vec();
        failed.sort_by_key(|case| case.name());
        let (required, optional): (Vec<Case>, Vec<Case>) =
            failed.iter().partition(|case| case.is_required());
        let mut summary = format!(
            "conformance of {}: {} of {cases} cases failed, {} of them required",
            self.module,
            failed.len(),
            required.len()
        );
        for (cases, weight) in [
            (required, "the client relies on"),
            (optional, "the client can do without"),
        ] {
            for case in cases {
                summary += &format!("\n  {weight} {}", case.name());
            }
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKIPPED: [&str; 1] = ["required_options_is_sent"];

    /// Returns the printed summaries of a run in which the cases that `fails` selects fail.
    fn summaries(fails: fn(&str) -> bool) -> Vec<String> {
        let tally = Tally::new("my_transport", &SKIPPED);
        let cases = Case::all().into_iter();
        cases
            .filter_map(|case| tally.summary_after(case, fails(case.name())))
            .collect()
    }

    #[test]
    fn the_last_case_summarizes_all_failures() {
        let fails = |name: &str| {
            [
                "optional_reuses_connections",
                "required_never_follows_redirects",
                "required_a_chunked_body_is_whole",
                SKIPPED[0],
            ]
            .contains(&name)
        };
        let cases = Case::all().len() - 1;
        assert_eq!(
            summaries(fails),
            [format!(
                "conformance of my_transport: 3 of {cases} cases failed, 2 of them required\n  \
                 the client relies on required_a_chunked_body_is_whole\n  \
                 the client relies on required_never_follows_redirects\n  \
                 the client can do without optional_reuses_connections"
            )]
        );
    }

    #[test]
    fn no_summary_is_printed_if_all_pass_or_some_are_not_run() {
        assert!(summaries(|_| false).is_empty());
        let tally = Tally::new("my_transport", &[]);
        assert_eq!(tally.summary_after(Case::all()[0], true), None);
    }
}
