//! The executors under which an application may call a transport.
//!
//! A transport must work under each of them or report that it can't. The cases in
//! `cases/runtime.rs` run their work on [`EXECUTORS`] and [`BLOCKING_EXECUTORS`], one thread for
//! each. This module does not judge the results.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// The time after which work counts as hanging. A request and a sleep take only milliseconds.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// The work that an [`Executor`] drives.
pub(super) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A way to drive futures, under which an application may call a transport.
pub(super) struct Executor {
    pub(super) name: &'static str,
    drive: fn(Work),
}

impl Executor {
    /// Drives `work` under this executor, on a thread of its own.
    ///
    /// # Panics
    ///
    /// Panics if the work panics or hangs.
    #[track_caller]
    pub(super) fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (sent, outcome) = mpsc::channel();
        let drive = self.drive;
        thread::spawn(move || {
            let work: Work = Box::pin(work);
            let _ = sent.send(catch_unwind(AssertUnwindSafe(|| drive(work))));
        });
        match outcome.recv_timeout(LIMIT) {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => {
                panic!("{}\nsituation: {}", super::text(&*panic), self.name)
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!(
                    "expected: the work ends\ngot: it still runs after {LIMIT:?}\nsituation: {}",
                    self.name
                )
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                panic!("{}: its thread ended without a result", self.name)
            }
        }
    }
}

/// The executors under which a transport returns the right response, or an error that says it can't
/// be used there.
pub(super) const EXECUTORS: [Executor; 11] = [
    Executor {
        name: "tokio on one thread",
        drive: |work| one_thread().block_on(work),
    },
    Executor {
        name: "a task of tokio on several threads",
        drive: |work| {
            let runtime = several_threads();
            runtime.block_on(runtime.spawn(work)).expect("no panic");
        },
    },
    Executor {
        name: "tokio without timers and I/O",
        drive: |work| bare_tokio().block_on(work),
    },
    Executor {
        name: "smol",
        drive: |work| async_io::block_on(work),
    },
    Executor {
        name: "a bare block_on",
        drive: pollster::block_on,
    },
    Executor {
        name: "tokio inside smol",
        drive: |work| async_io::block_on(async { one_thread().block_on(work) }),
    },
    Executor {
        name: "smol on a blocking thread of tokio",
        drive: |work| on_a_blocking_thread(|| async_io::block_on(work)),
    },
    Executor {
        name: "a bare block_on on a blocking thread of tokio",
        drive: |work| on_a_blocking_thread(|| pollster::block_on(work)),
    },
    Executor {
        name: "tokio on a blocking thread of tokio",
        drive: |work| on_a_blocking_thread(|| one_thread().block_on(work)),
    },
    Executor {
        name: "a bare block_on beside tokio",
        drive: |work| {
            let runtime = several_threads();
            let _inside = runtime.enter();
            pollster::block_on(work);
        },
    },
    Executor {
        name: "a bare block_on in tokio's block_in_place",
        drive: |work| {
            let runtime = several_threads();
            let blocking = async { tokio::task::block_in_place(|| pollster::block_on(work)) };
            runtime.block_on(runtime.spawn(blocking)).expect("no panic");
        },
    },
];

/// The executors that block the only thread of a tokio runtime. Tasks and timers of that runtime
/// make no progress meanwhile.
pub(super) const BLOCKING_EXECUTORS: [Executor; 2] = [
    Executor {
        name: "a bare block_on inside tokio on one thread",
        drive: |work| one_thread().block_on(async { pollster::block_on(work) }),
    },
    Executor {
        name: "smol inside tokio on one thread",
        drive: |work| one_thread().block_on(async { async_io::block_on(work) }),
    },
];

fn one_thread() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

fn bare_tokio() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn several_threads() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.expect("a runtime")
}

fn on_a_blocking_thread(work: impl FnOnce() + Send + 'static) {
    one_thread()
        .block_on(async { tokio::task::spawn_blocking(work).await })
        .expect("no panic");
}
