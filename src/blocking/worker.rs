//! The thread on which a blocking client's requests run.

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

/// Runs futures on a thread of its own, which starts with the first and ends when the driver is dropped.
pub(crate) struct Worker {
    block_on: Arc<BlockOn>,
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

    /// Starts the thread, if it does not run.
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

    /// Begins the work, which goes on as long as the call is kept.
    pub(crate) fn begin<R: Send + 'static>(
        &self,
        work: impl Future<Output = R> + Send + 'static,
    ) -> Result<Call<R>, Error> {
        let (answer, outcome) = sync_channel(1);
        let work = AssertUnwindSafe(work).catch_unwind();
        let (work, abort) = abortable(work.map(move |outcome| {
            // Nobody waits any more, then.
            let _ = answer.send(outcome);
        }));
        self.queue()?
            .unbounded_send(Box::pin(work.map(|_| ())))
            .map_err(|_| thread_ended())?;
        Ok(Call { outcome, abort })
    }

    /// Has the thread, if it runs, drive the work to its end before it ends.
    pub(crate) fn finish(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Cloned, because to send wakes the thread: by a waker of the transport's, whose code may come back here.
        let queue = lock(&self.queue).clone();
        if let Some(queue) = queue {
            // A thread that has ended has nothing under way.
            let _ =
                queue.unbounded_send(Box::pin(AssertUnwindSafe(work).catch_unwind().map(|_| ())));
        }
    }

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

/// Drives whatever comes, until nobody is left to send more and all is done: what nobody waits for any more was ended.
async fn serve(mut queue: UnboundedReceiver<Work<'static>>) {
    let mut running = FuturesUnordered::new();
    poll_fn(|cx| {
        loop {
            while let Poll::Ready(Some(())) = running.poll_next_unpin(cx) {}
            // Last, because work that blocks may swallow the call that announces more.
            match queue.poll_next_unpin(cx) {
                Poll::Ready(Some(work)) => running.push(work),
                Poll::Ready(None) if running.is_empty() => return Poll::Ready(()),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

/// Work under way on the driver's thread. Dropping it ends the work.
pub(crate) struct Call<R> {
    outcome: Receiver<thread::Result<R>>,
    abort: AbortHandle,
}

impl<R> Call<R> {
    /// Waits for the outcome. A panic of the work goes on in the caller.
    pub(crate) fn wait(&self) -> Result<R, Error> {
        let outcome = self.outcome.recv().map_err(|_| thread_ended())?;
        Ok(outcome.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// As [`wait`](Self::wait), for so long. `None`: it goes on.
    pub(crate) fn wait_for(&self, timeout: Duration) -> Option<Result<R, Error>> {
        match self.outcome.recv_timeout(timeout) {
            Ok(outcome) => Some(Ok(outcome.unwrap_or_else(|panic| resume_unwind(panic)))),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(thread_ended())),
        }
    }
}

impl<R> Drop for Call<R> {
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

    /// A thread that is woken, and something that is dropped with that and has the driver finish its work, once.
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

    /// Longer than any of it takes, where nothing waits for itself.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn driver_is_unlocked_while_it_wakes_its_thread() {
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
            // Until the thread was waiting for work, and was woken for it.
            while !has_finished.load(Ordering::SeqCst) {
                let (finished, told) = mpsc::channel();
                worker.finish(async move { finished.send(()).unwrap() });
                told.recv().unwrap();
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
    fn serving_ends_after_its_work_when_no_more_can_come() {
        let (sender, queue) = unbounded::<Work<'static>>();
        let (go_on, goes_on) = oneshot::channel::<()>();
        sender.unbounded_send(Box::pin(goes_on.map(drop))).unwrap();
        drop(sender);
        let mut serving = pin!(serve(queue));
        assert!(block_on(poll_once(serving.as_mut())).is_none());
        go_on.send(()).unwrap();
        assert!(block_on(poll_once(serving)).is_some());
    }
}
