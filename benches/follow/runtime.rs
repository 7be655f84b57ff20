//! The runtimes that applications use, with one thread.
//!
//! Start from [`Runtime`].

use std::future::Future;
use std::time::Duration;

/// A runtime for the futures of a subject.
pub(crate) trait Runtime {
    fn new() -> Self;
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static);
    fn block_on<R>(&self, work: impl Future<Output = R>) -> R;
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send;
}

/// tokio's current-thread runtime, for reqwest and the floor.
pub(crate) struct Tokio(tokio::runtime::Runtime);

impl Runtime for Tokio {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Self(runtime.expect("a runtime can be had"))
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(work);
    }

    fn block_on<R>(&self, work: impl Future<Output = R>) -> R {
        self.0.block_on(work)
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }
}

/// smol's executor, for surf and isahc.
#[cfg(any(feature = "surf", feature = "isahc"))]
pub(crate) struct Smol(smol::Executor<'static>);

#[cfg(any(feature = "surf", feature = "isahc"))]
impl Runtime for Smol {
    fn new() -> Self {
        Self(smol::Executor::new())
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(work).detach();
    }

    fn block_on<R>(&self, work: impl Future<Output = R>) -> R {
        smol::block_on(self.0.run(work))
    }

    async fn sleep(duration: Duration) {
        smol::Timer::after(duration).await;
    }
}
