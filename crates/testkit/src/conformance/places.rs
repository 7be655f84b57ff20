use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// How long a place is waited for before it counts as hanging. In the others a request and a sleep take milliseconds.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// Something to be done in a [`Place`].
pub(super) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where an application may call a transport.
pub(super) struct Place {
    pub(super) name: &'static str,
    drive: fn(Work),
}

impl Place {
    /// Does `work` here, on a thread of its own.
    ///
    /// # Panics
    ///
    /// When the work panics or hangs.
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
                    "expected: an end\ngot: none after {LIMIT:?}\nsituation: {}",
                    self.name
                )
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                panic!("{}: its thread is gone", self.name)
            }
        }
    }
}

/// Where a transport gives the right answer, or says that it can't be used.
pub(super) const PLACES: [Place; 11] = [
    Place {
        name: "tokio on one thread",
        drive: |work| one_thread().block_on(work),
    },
    Place {
        name: "a task of tokio on several threads",
        drive: |work| {
            let runtime = several_threads();
            runtime.block_on(runtime.spawn(work)).expect("no panic");
        },
    },
    Place {
        name: "tokio without timers and I/O",
        drive: |work| bare_tokio().block_on(work),
    },
    Place {
        name: "smol",
        drive: |work| async_io::block_on(work),
    },
    Place {
        name: "a bare block_on",
        drive: pollster::block_on,
    },
    Place {
        name: "tokio inside smol",
        drive: |work| async_io::block_on(async { one_thread().block_on(work) }),
    },
    Place {
        name: "smol on a blocking thread of tokio",
        drive: |work| on_a_blocking_thread(|| async_io::block_on(work)),
    },
    Place {
        name: "a bare block_on on a blocking thread of tokio",
        drive: |work| on_a_blocking_thread(|| pollster::block_on(work)),
    },
    Place {
        name: "tokio on a blocking thread of tokio",
        drive: |work| on_a_blocking_thread(|| one_thread().block_on(work)),
    },
    Place {
        name: "a bare block_on beside tokio",
        drive: |work| {
            let runtime = several_threads();
            let _inside = runtime.enter();
            pollster::block_on(work);
        },
    },
    Place {
        name: "a bare block_on in tokio's block_in_place",
        drive: |work| {
            let runtime = several_threads();
            let blocking = async { tokio::task::block_in_place(|| pollster::block_on(work)) };
            runtime.block_on(runtime.spawn(blocking)).expect("no panic");
        },
    },
];

/// Places that block the one thread that drives a runtime. What belongs to that runtime can't go on here.
pub(super) const BLOCKING_PLACES: [Place; 2] = [
    Place {
        name: "a bare block_on inside tokio on one thread",
        drive: |work| one_thread().block_on(async { pollster::block_on(work) }),
    },
    Place {
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
