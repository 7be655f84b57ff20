//! The contract of [`HttpTransport`], as tests.
//!
//! They put a transport before scripted servers, over TCP and TLS, and each of them is a rule of the
//! [contract](box_longpoll::transport) by name. A crate with a transport has them all by one call of
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
//! Several transports have a module each. The closure is called anew for each test. It makes a transport that trusts the
//! authority of its [`Setup`] beside those it knows, and leaves out the proxies that the environment may name.
//!
//! # Headers that are added on purpose
//!
//! A transport that wraps another one may add headers, or set those that a library sets. It names them:
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
//! No case looks at a header that is named there. Headers that the client itself relies on, such as `authorization`, can't be
//! named. `examples/custom_transport/tagged.rs` of `box-longpoll` is such a transport, and `tests/conformance/custom.rs` runs
//! the suite for it.
//!
//! # Exceptions
//!
//! A transport that breaks a rule says so in the same call, with the reason:
//!
//! ```
//! # use std::sync::Arc;
//! # use box_longpoll::HttpTransport;
//! # struct MyTransport;
//! # impl MyTransport { fn with_root(_: &str) -> Arc<dyn HttpTransport> { unimplemented!("a doc test runs none of the cases") } }
//! box_longpoll_testkit::conformance_tests!(
//!     |setup| MyTransport::with_root(setup.ca_pem()),
//!     except: [optional_reuses_connections = "each request has a connection of its own"],
//!     skip: [required_answers_may_be_held_for_minutes = "takes a minute"],
//! );
//! ```
//!
//! A case that is excepted is run as `<case>::excepted`, and has to fail: an exception that no longer holds is noticed. One
//! that is skipped is `#[ignore]`d. The names `required_…` are what the client relies on; `optional_…` is what a good
//! transport does, and the client can do without.
//!
//! # Failures
//!
//! A case that fails says its rule, what it expected and got, and what the server did. If all cases of a module were run and
//! some failed, the last one prints how many failed and how many of them are required. [`Case::run`] runs a single case.
//!
//! # Time
//!
//! The cases wait for what a server reports, and none fails because a machine is slow or busy: what has to happen at last has
//! tens of seconds, and a case that hangs is given up after two minutes. If time is itself the matter, a case takes seconds.
//! One takes a minute: it holds an answer longer than any library's default timeout, for 65 s, or, with the environment
//! variable `BOX_LONGPOLL_SLOW=1`, for 610 s, as long as Box holds a poll.
//! `required_uses_no_cpu_while_a_request_is_held` runs the test's own program once more, to measure it alone.
//!
//! # In this workspace
//!
//! `box-longpoll` has this crate among its dev-dependencies, and this one depends on `box-longpoll`. In the unit tests of
//! `box-longpoll` the trait therefore exists twice; the tests run from `tests/` only.

mod case;
pub mod cases;
mod connection;
mod expect;
mod macros;
mod names;
mod places;
mod received;
mod server;
mod setup;
mod subject;
mod tally;
mod transcript;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

#[doc(hidden)]
pub use box_longpoll::HttpTransport;

pub use case::Case;
pub use setup::Setup;
use subject::NotShown;
pub use subject::{Candidate, MakeTransport, Subject};
#[doc(hidden)]
pub use tally::Tally;
use transcript::Transcript;

/// How long a case may take that does not say so itself. Most take milliseconds; only one that hangs takes so long.
const LIMIT: Duration = Duration::from_secs(120);

impl Case {
    /// Runs the case, on a thread of its own, and gives it up when it hangs.
    ///
    /// `test` is the path of the test that calls this, without its crate: `required_uses_no_cpu_while_a_request_is_held` runs
    /// it by that. [`conformance_tests!`](crate::conformance_tests) calls this for every case.
    ///
    /// # Errors
    ///
    /// Why the case failed: its rule, what was expected, and what the server did.
    pub fn run(self, test: &'static str, candidate: Candidate) -> Result<(), String> {
        outcome(self, test, candidate).map(drop)
    }
}

/// What comes of a case that doesn't fail.
enum Outcome {
    Passed,
    /// This machine doesn't show what the case is about.
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

/// Runs a case with the subject that is made for it. The error says why it failed.
fn attempt(
    case: Case,
    subject: impl FnOnce(mpsc::Sender<Duration>) -> Subject,
) -> Result<Outcome, String> {
    let (limits, limit) = mpsc::channel();
    // The sender is in the subject, so the channel ends with the case.
    let subject = subject(limits);
    let running = thread::Builder::new()
        .name(case.name().to_owned())
        .spawn(move || catch_unwind(AssertUnwindSafe(|| (case.check)(&subject))))
        .map_err(|error| format!("no thread to run on: {error}"))?;
    let mut allowed = LIMIT;
    loop {
        match limit.recv_timeout(allowed) {
            Ok(more) => allowed = more,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(format!(
                    "expected: an end of the case\ngot: none after {allowed:?}"
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

/// Runs a case that has to fail, and prints how it did.
///
/// # Panics
///
/// When the case passes: its exception no longer holds.
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
        Ok(Outcome::Passed) => panic!("it passes: take the exception out ({reason})"),
        Ok(Outcome::NotShown(why)) => {
            println!("excepted: {reason}\nit is not put to the test: {why}");
        }
        Err(failure) => println!("excepted: {reason}\nit fails with: {failure}"),
    }
}

/// Runs a case that has to pass.
///
/// # Panics
///
/// When the case fails.
#[doc(hidden)]
pub fn must_pass(tally: &Tally, case: Case, test: &'static str, candidate: Candidate) {
    let outcome = case.run(test, candidate);
    tally.count(case, outcome.is_err());
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Makes a transport's type forgotten, so that the cases are compiled once.
#[doc(hidden)]
pub fn erase<T: HttpTransport>(
    setup: &Setup,
    make: impl Fn(&Setup) -> T,
) -> Arc<dyn HttpTransport> {
    Arc::new(make(setup))
}

/// A test's path as its program is told it.
#[doc(hidden)]
#[must_use]
pub fn without_crate(path: &'static str) -> &'static str {
    path.split_once("::").map_or(path, |(_, rest)| rest)
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text")
        .to_owned()
}
