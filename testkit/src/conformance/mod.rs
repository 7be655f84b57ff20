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
//! # impl MyTransport { fn with_root(_: &str) -> Arc<dyn HttpTransport> { unimplemented!() } }
//! box_longpoll_testkit::conformance_tests!(|setup| MyTransport::with_root(setup.ca_pem()));
//! ```
//!
//! Several transports have a module each. The closure is called anew for each test. It makes a transport that trusts the
//! authority of its [`Setup`] beside those it knows, and leaves out the proxies that the environment may name.
//!
//! # Exceptions
//!
//! A transport that breaks a rule says so in the same call, with the reason:
//!
//! ```
//! # use std::sync::Arc;
//! # use box_longpoll::HttpTransport;
//! # struct MyTransport;
//! # impl MyTransport { fn with_root(_: &str) -> Arc<dyn HttpTransport> { unimplemented!() } }
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
//! # Time
//!
//! The cases wait for what a server reports. Where time is itself the matter they take seconds, and one takes a minute: it
//! holds an answer longer than any library's default timeout, for 65 s, or, with the environment variable
//! `BOX_LONGPOLL_SLOW=1`, for 610 s, as long as Box holds a poll. A case that hangs is given up after a minute.
//! `required_uses_no_cpu_while_a_request_is_held` runs the test's own program once more, to measure it alone.
//!
//! # In this workspace
//!
//! `box-longpoll` has this crate among its dev-dependencies, and this one depends on `box-longpoll`. In the unit tests of
//! `box-longpoll` the trait therefore exists twice; the tests run from `tests/` only.

pub mod cases;
mod connection;
mod macros;
mod names;
mod places;
mod received;
mod server;
mod setup;
mod subject;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

#[doc(hidden)]
pub use box_longpoll::HttpTransport;

pub use setup::Setup;
use subject::NotShown;
pub use subject::{MakeTransport, Subject};

/// How long a case may take that does not say so itself. Most take milliseconds; a machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs one case, on a thread of its own, and gives it up when it hangs.
///
/// `test` is the path of the test that calls this, without its crate: `required_uses_no_cpu_while_a_request_is_held` runs
/// it by that. [`conformance_tests!`](crate::conformance_tests) calls this for every case.
///
/// # Errors
///
/// Why the case failed.
pub fn run(case: fn(&Subject), test: &'static str, make: MakeTransport) -> Result<(), String> {
    outcome(case, test, make).map(drop)
}

/// What comes of a case that doesn't fail.
enum Outcome {
    Passed,
    /// This machine doesn't show what the case is about.
    NotShown(&'static str),
}

fn outcome(case: fn(&Subject), test: &'static str, make: MakeTransport) -> Result<Outcome, String> {
    let (limits, limit) = mpsc::channel();
    // The sender is in the subject, so the channel ends with the case.
    let running = thread::Builder::new()
        .name(test.to_owned())
        .spawn(move || {
            let subject = Subject {
                setup: Arc::new(Setup::new()),
                make,
                test,
                limit: limits,
            };
            catch_unwind(AssertUnwindSafe(|| case(&subject)))
        })
        .map_err(|error| format!("no thread to run on: {error}"))?;
    let mut allowed = LIMIT;
    loop {
        match limit.recv_timeout(allowed) {
            Ok(more) => allowed = more,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(format!("it hangs: no end after {allowed:?}"));
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
pub fn must_fail(case: fn(&Subject), test: &'static str, make: MakeTransport, reason: &str) {
    match outcome(case, test, make) {
        Ok(Outcome::Passed) => panic!("it passes: take the exception out ({reason})"),
        Ok(Outcome::NotShown(why)) => {
            println!("excepted: {reason}\nit is not put to the test: {why}");
        }
        Err(failure) => println!("excepted: {reason}\nit fails with: {failure}"),
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
