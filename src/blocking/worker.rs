//! The worker: the thread that runs a blocking client's requests.
//!
//! The transports are async and need a runtime, which only lives while a thread polls it. A
//! [`Worker`] has one such thread for all derived clients. The thread starts with the first
//! request, and again if it has ended. It ends once the worker is dropped and its work is done.
//! Start at [`Worker::run`].

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use crate::error::{Error, ErrorKind};
use crate::sys::lock;
use crate::transport::{TransportError, TransportErrorKind};

type Work<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
type BlockOn = dyn Fn(Work<'_>) -> Result<(), TransportError> + Send + Sync;

/// Runs futures on a thread of its own. The thread starts with the first future, and ends after the
/// worker is dropped.
pub(crate) struct Worker {
    block_on: Arc<BlockOn>,
    /// The queue of the thread, once it was started.
    queue: Mutex<Option<UnboundedSender<Work<'static>>>>,
}

impl Worker {
    pub(crate) fn new(
        block_on: impl Fn(Work<'_>) -> Result<(), TransportError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            block_on: Arc::new(block_on),
            queue: Mutex::default(),
        }
    }

    /// Starts the thread, unless it runs.
    pub(crate) fn start(&self) -> Result<(), Error> {
        self.queue().map(drop)
    }

    /// Runs the work and waits for its outcome.
    pub(crate) fn run<R: Send + 'static>(
        &self,
        work: impl Future<Output = R> + Send + 'static,
    ) -> Result<R, Error> {
        self.begin(work)?.wait()
    }

    /// Starts the work. It continues as long as the returned task is kept.
    pub(crate) fn begin<R: Send + 'static>(
        &self,
        work: impl Future<Output = R> + Send + 'static,
    ) -> Result<Task<R>, Error> {
        let (sender, outcome) = sync_channel(1);
        let work = AssertUnwindSafe(work).catch_unwind();
        let (work, abort) = abortable(work.map(move |outcome| {
            // This fails if the task was dropped, so nobody waits for the outcome.
            let _ = sender.send(outcome);
        }));
        self.queue()?
            .unbounded_send(Box::pin(work.map(|_| ())))
            .map_err(|_| thread_ended())?;
        Ok(Task { outcome, abort })
    }

    /// Makes the thread, if it runs, finish the work before it ends.
    pub(crate) fn finish(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Cloned, because sending wakes the thread with a waker of the transport, whose code may
        // call this worker. So the lock is released first.
        let queue = lock(&self.queue).clone();
        if let Some(queue) = queue {
            // This fails if the thread has ended. It then has no work in flight.
            let _ =
                queue.unbounded_send(Box::pin(AssertUnwindSafe(work).catch_unwind().map(|_| ())));
        }
    }

    /// Returns the queue of the thread, and starts the thread unless it runs.
    fn queue(&self) -> Result<UnboundedSender<Work<'static>>, Error> {
        let mut queue = lock(&self.queue);
        match &*queue {
            Some(queue) if !queue.is_closed() => Ok(queue.clone()),
            _ => {
                let started = start(self.block_on.clone()).map_err(not_started)?;
                *queue = Some(started.clone());
                Ok(started)
            }
        }
    }
}

/// Starts a thread, and waits until its runtime runs.
fn start(block_on: Arc<BlockOn>) -> Result<UnboundedSender<Work<'static>>, TransportError> {
    let (sender, queue) = unbounded();
    let (report, started) = sync_channel(1);
    thread::Builder::new()
        .name("box-longpoll".to_owned())
        .spawn(move || {
            let running = report.clone();
            let served = block_on(Box::pin(async move {
                let _ = running.send(Ok(()));
                serve(queue).await;
            }));
            if let Err(error) = served {
                let _ = report.try_send(Err(error));
            }
        })
        .map_err(|error| TransportError::with_source(TransportErrorKind::Runtime, error))?;
    started
        .recv()
        .unwrap_or_else(|_| Err(TransportError::new(TransportErrorKind::Runtime)))?;
    Ok(sender)
}

/// Runs all work that arrives, until no more can arrive and all of it is done. Dropped tasks have
/// already aborted their work.
async fn serve(mut queue: UnboundedReceiver<Work<'static>>) {
    let mut running = FuturesUnordered::new();
    poll_fn(|cx| {
        loop {
            while let Poll::Ready(Some(())) = running.poll_next_unpin(cx) {}
            // The queue is polled last, because work that blocks may swallow the wakeup of new
            // work.
            match queue.poll_next_unpin(cx) {
                Poll::Ready(Some(work)) => running.push(work),
                Poll::Ready(None) if running.is_empty() => return Poll::Ready(()),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

/// Work in flight on the worker's thread. Dropping it aborts the work.
pub(crate) struct Task<R> {
    outcome: Receiver<thread::Result<R>>,
    abort: AbortHandle,
}

impl<R> Task<R> {
    /// Waits for the outcome. If the work panicked, the panic continues in the caller.
    pub(crate) fn wait(&self) -> Result<R, Error> {
        let outcome = self.outcome.recv().map_err(|_| thread_ended())?;
        Ok(outcome.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// Waits for the outcome for at most `timeout`. Returns `None` if the work continues.
    pub(crate) fn wait_for(&self, timeout: Duration) -> Option<Result<R, Error>> {
        match self.outcome.recv_timeout(timeout) {
            Ok(outcome) => Some(Ok(outcome.unwrap_or_else(|panic| resume_unwind(panic)))),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(thread_ended())),
        }
    }
}

impl<R> Drop for Task<R> {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

fn not_started(error: TransportError) -> Error {
    Error::new(ErrorKind::Runtime, "the client's thread did not start").with_source(error)
}

fn thread_ended() -> Error {
    Error::new(ErrorKind::Runtime, "the client's thread has ended")
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{OnceLock, Weak, mpsc};
    use std::task::{Context, Wake, Waker};

    use futures_channel::oneshot;
    use futures_lite::future::{block_on, or, poll_once};

    use super::*;

    /// A waker that unparks a thread, and makes the worker finish some work when it is first woken.
    struct Reentrant {
        thread: thread::Thread,
        worker: Arc<OnceLock<Weak<Worker>>>,
        has_finished: Arc<AtomicBool>,
    }

    impl Wake for Reentrant {
        fn wake(self: Arc<Self>) {
            if let Some(worker) = self.worker.get().and_then(Weak::upgrade)
                && !self.has_finished.swap(true, Ordering::SeqCst)
            {
                worker.finish(async {});
            }
            self.thread.unpark();
        }
    }

    /// A time limit that the test reaches only if it deadlocks.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn worker_is_unlocked_while_it_wakes_its_thread() {
        let (done, outcome) = mpsc::channel();
        thread::spawn(move || {
            let itself = Arc::new(OnceLock::new());
            let has_finished = Arc::new(AtomicBool::new(false));
            let (known, finished) = (itself.clone(), has_finished.clone());
            let worker = Arc::new(Worker::new(move |mut work| {
                let waker = Waker::from(Arc::new(Reentrant {
                    thread: thread::current(),
                    worker: known.clone(),
                    has_finished: finished.clone(),
                }));
                let mut cx = Context::from_waker(&waker);
                while work.as_mut().poll(&mut cx).is_pending() {
                    thread::park();
                }
                Ok(())
            }));
            worker.start().unwrap();
            itself.set(Arc::downgrade(&worker)).unwrap();
            // Wait until the thread has waited for work and was woken for it.
            while !has_finished.load(Ordering::SeqCst) {
                let (finished, received) = mpsc::channel();
                worker.finish(async move { finished.send(()).unwrap() });
                received.recv().unwrap();
            }
            done.send(()).unwrap();
        });
        assert!(outcome.recv_timeout(PATIENCE).is_ok(), "it hangs");
    }

    #[test]
    fn thread_is_started_again_when_it_has_ended() {
        let (end, ended) = oneshot::channel::<()>();
        let ended = Mutex::new(Some(ended));
        let worker = Worker::new(move |work| {
            match ended.lock().unwrap().take() {
                Some(ended) => block_on(or(work, ended.map(drop))),
                None => block_on(work),
            }
            Ok(())
        });
        let queue = worker.queue().unwrap();
        end.send(()).unwrap();
        while !queue.is_closed() {
            thread::yield_now();
        }
        assert_eq!(worker.run(async { 1 }).unwrap(), 1);
    }

    #[test]
    fn worker_ends_after_its_work_when_no_more_can_come() {
        let (sender, queue) = unbounded::<Work<'static>>();
        let (release, released) = oneshot::channel::<()>();
        sender.unbounded_send(Box::pin(released.map(drop))).unwrap();
        drop(sender);
        let mut serving = pin!(serve(queue));
        assert!(block_on(poll_once(serving.as_mut())).is_none());
        release.send(()).unwrap();
        assert!(block_on(poll_once(serving)).is_some());
    }
}
