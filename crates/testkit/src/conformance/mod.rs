//! The contract of [`HttpTransport`], as tests.
//!
//! The suite lets a transport send requests to scripted servers, over TCP and TLS. Each case tests
//! one rule of the [contract](box_longpoll::transport) and is named after it. A crate that
//! implements a transport gets all cases by one call of
//! [`conformance_tests!`](crate::conformance_tests), in a file of its `tests/`:
//!
//! ```
//! # use std::sync::Arc;
//! # use box_longpoll::HttpTransport;
//! # struct MyTransport;
//! # impl MyTransport { fn with_root(_: &str) -> Arc<dyn HttpTransport> { unimplemented!("a doc test runs none of the cases") } }
//! box_longpoll_testkit::conformance_tests!(|setup| MyTransport::with_root(setup.ca_pem()));
//! ```
//!
//! If a crate has several transports, each needs a module of its own. The closure is called once
//! for each test. It makes a transport that trusts the certificate authority of its [`Setup`] in
//! addition to its own. The transport must ignore the proxies that environment variables may name.
//!
//! The suite does not test the Box client; [`EmulatorServer`](crate::EmulatorServer) serves for
//! that.
//!
//! # Headers that are added on purpose
//!
//! A transport that wraps another one may add headers, or set headers that an HTTP library sets.
//! List them:
//!
//! ```
//! # use std::sync::Arc;
//! # use box_longpoll::HttpTransport;
//! # struct Tagged;
//! # impl Tagged { fn with_root(_: &str) -> Arc<dyn HttpTransport> { unimplemented!("a doc test runs none of the cases") } }
//! box_longpoll_testkit::conformance_tests!(
//!     |setup| Tagged::with_root(setup.ca_pem()),
//!     adds: ["x-job"],
//! );
//! ```
//!
//! No case checks a header that is listed there. Headers that the client itself relies on, such as
//! `authorization`, can't be listed. `examples/custom_transport/tagged.rs` of `box-longpoll` is
//! such a transport, and `tests/conformance/custom.rs` runs the suite for it.
//!
//! # Exceptions
//!
//! If a transport breaks a rule, name the case in the same call and give the reason:
//!
//! ```
//! # use std::sync::Arc;
//! # use box_longpoll::HttpTransport;
//! # struct MyTransport;
//! # impl MyTransport { fn with_root(_: &str) -> Arc<dyn HttpTransport> { unimplemented!("a doc test runs none of the cases") } }
//! box_longpoll_testkit::conformance_tests!(
//!     |setup| MyTransport::with_root(setup.ca_pem()),
//!     except: [optional_reuses_connections = "each request has a connection of its own"],
//!     skip: [required_responses_may_be_held_for_minutes = "takes a minute"],
//! );
//! ```
//!
//! An excepted case runs as `<case>::excepted` and must fail, so an exception that no longer holds
//! is noticed. A skipped case is `#[ignore]`d. The client relies on the rules of the cases named
//! `required_…`. A good transport also follows the rules of those named `optional_…`, but the
//! client works without them.
//!
//! # Failures
//!
//! The message of a failed case contains its rule, the expected and the actual result, and a
//! transcript of what the server did. If all cases of a module were run and some failed, the last
//! one prints how many failed and how many of them are required. [`Case::run`] runs a single case.
//!
//! # Time
//!
//! The cases wait for reports of their servers, so no case fails because a machine is slow or busy.
//! An event that must happen eventually has tens of seconds to do so, and a case that hangs fails
//! after two minutes. A case takes seconds if it tests time itself.
//!
//! One case takes a minute: it holds a response for 65 s, which is longer than any library's
//! default timeout. If the environment variable `BOX_LONGPOLL_SLOW=1` is set, it holds the response
//! for 610 s, which is as long as Box holds a poll. `required_uses_no_cpu_while_a_request_is_held`
//! starts the test's own program again, to measure it alone.
//!
//! # In this workspace
//!
//! `box-longpoll` has this crate among its dev-dependencies, and this crate depends on
//! `box-longpoll`. In the unit tests of `box-longpoll` the trait therefore exists twice, so the
//! suite can only run from `tests/`.

mod captured_request;
mod case;
pub mod cases;
mod connection;
mod driver;
mod executors;
mod expect;
mod macros;
mod names;
mod server;
mod setup;
mod tally;
mod transcript;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

#[doc(hidden)]
pub use box_longpoll::HttpTransport;

pub use case::Case;
use driver::NotShown;
pub use driver::{Candidate, MakeTransport, Subject};
pub use setup::Setup;
#[doc(hidden)]
pub use tally::Tally;
use transcript::Transcript;

/// The time limit of a case that does not set its own with `Subject::may_take`. Most cases take
/// milliseconds, so only a case that hangs reaches it.
const LIMIT: Duration = Duration::from_secs(120);

impl Case {
    /// Runs the case on a thread of its own. If the case hangs, this method stops waiting and
    /// reports a failure.
    ///
    /// `test` is the path of the calling test, without its crate.
    /// `required_uses_no_cpu_while_a_request_is_held` uses the path to run that test in a process
    /// of its own. [`conformance_tests!`](crate::conformance_tests) calls this for every case.
    ///
    /// # Errors
    ///
    /// Returns the reason if the case fails: its rule, the expected result, and a transcript of
    /// what the server did.
    pub fn run(self, test: &'static str, candidate: Candidate) -> Result<(), String> {
        outcome(self, test, candidate).map(drop)
    }
}

/// The result of a case that doesn't fail.
enum Outcome {
    Passed,
    /// The machine can't test the rule, for this reason.
    NotShown(&'static str),
}

fn outcome(case: Case, test: &'static str, candidate: Candidate) -> Result<Outcome, String> {
    candidate.check()?;
    let transcript = Transcript::default();
    let subject = |limit| Subject {
        setup: Arc::new(Setup::new()),
        candidate,
        test,
        limit,
        transcript: transcript.clone(),
    };
    attempt(case, subject).map_err(|reason| case.failure(&reason, &transcript))
}

/// Runs a case with the subject that `subject` makes. The error says why the case failed.
fn attempt(
    case: Case,
    subject: impl FnOnce(mpsc::Sender<Duration>) -> Subject,
) -> Result<Outcome, String> {
    let (limits, limit) = mpsc::channel();
    // The subject owns the sender, so the channel closes when the case ends.
    let subject = subject(limits);
    let running = thread::Builder::new()
        .name(case.name().to_owned())
        .spawn(move || catch_unwind(AssertUnwindSafe(|| (case.check)(&subject))))
        .map_err(|error| format!("the thread of the case did not start: {error}"))?;
    let mut allowed = LIMIT;
    loop {
        match limit.recv_timeout(allowed) {
            Ok(more) => allowed = more,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(format!(
                    "expected: the case ends\ngot: it still runs after {allowed:?}"
                ));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    match running.join() {
        Ok(Ok(())) => Ok(Outcome::Passed),
        Ok(Err(panic)) | Err(panic) => match panic.downcast::<NotShown>() {
            Ok(not_shown) => Ok(Outcome::NotShown(not_shown.0)),
            Err(panic) => Err(text(&*panic)),
        },
    }
}

/// Runs a case that must fail, and prints its failure.
///
/// # Panics
///
/// Panics if the case passes, because its exception no longer holds.
#[doc(hidden)]
pub fn must_fail(
    tally: &Tally,
    case: Case,
    test: &'static str,
    candidate: Candidate,
    reason: &str,
) {
    let outcome = outcome(case, test, candidate);
    tally.count(case, matches!(outcome, Ok(Outcome::Passed)));
    match outcome {
        Ok(Outcome::Passed) => {
            panic!("the excepted case passes: remove its exception ({reason})")
        }
        Ok(Outcome::NotShown(why)) => {
            println!("excepted: {reason}\nnot tested on this machine: {why}");
        }
        Err(failure) => println!("excepted: {reason}\nfailed as expected: {failure}"),
    }
}

/// Runs a case that must pass.
///
/// # Panics
///
/// Panics if the case fails.
#[doc(hidden)]
pub fn must_pass(tally: &Tally, case: Case, test: &'static str, candidate: Candidate) {
    let outcome = case.run(test, candidate);
    tally.count(case, outcome.is_err());
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Erases the type of a transport, so that the cases are compiled only once.
#[doc(hidden)]
pub fn erase<T: HttpTransport>(
    setup: &Setup,
    make: impl Fn(&Setup) -> T,
) -> Arc<dyn HttpTransport> {
    Arc::new(make(setup))
}

/// Returns the path of a test without its crate, which is the form that `--exact` takes.
#[doc(hidden)]
#[must_use]
pub fn without_crate(path: &'static str) -> &'static str {
    path.split_once("::").map_or(path, |(_, rest)| rest)
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
        .to_owned()
}
