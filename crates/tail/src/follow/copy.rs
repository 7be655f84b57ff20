//! [`Journey`]: the main loop, which moves batches from the stream to the outlet.
//!
//! The loop also waits for signals and for changes of the stream's status. It does not retry: the
//! stream does, and the outlet.

use std::future::pending;
use std::pin::pin;
use std::time::SystemTime;

use box_longpoll::{Error, ErrorKind, Status, StreamHandle};
use tokio::select;
use tokio::sync::mpsc::unbounded_channel;

use super::batches::{Batches, Item};
use crate::output::{Outlet, Written};
use crate::report::Report;
use crate::service::Service;
use crate::signals::{Signal, Signals};
use crate::sink::{Failure, SinkError};

/// The way of events from a stream to an outlet.
pub(crate) struct Journey<'a> {
    pub(crate) batches: Batches,
    pub(crate) outlet: &'a mut Outlet,
    pub(crate) report: &'a mut Report,
    pub(crate) signals: Signals,
    pub(crate) service: &'a mut Service,
    /// The time at which the way ends, if it has an end.
    pub(crate) until: Option<SystemTime>,
    /// The reason why the last acknowledgement is not durable yet.
    pub(crate) unsaved: Option<Error>,
}

/// The reason why the program ends.
pub(crate) enum End {
    /// As many events as `--count` says were written.
    Counted,
    /// All events up to the end were written.
    Complete,
    /// The user pressed Ctrl-C.
    Interrupted,
    /// A service manager ended the program.
    Terminated,
    /// The reader of standard output has closed it.
    OutputClosed,
    /// The stream stopped with this error.
    Stopped(Error),
    /// The output failed, for instance because the disk is full.
    OutputFailed(SinkError),
}

impl Journey<'_> {
    /// Writes batch after batch. The position of a batch is reported after its events were written,
    /// and before the next batch is requested.
    pub(crate) async fn run(mut self) -> End {
        let mut handle = self.batches.handle();
        let mut complete = pin!(complete(self.batches.handle(), self.until));
        loop {
            select! {
                // The order matters. Signals are checked first, so they work during any number of
                // events. The handle comes after the stream, so its status is never older than the
                // last batch.
                biased;
                signal = self.signals.next() => match signal.end() {
                    Some(end) => return end,
                    None => {
                        if let Err(end) = self.reopen().await {
                            return end;
                        }
                    }
                },
                () = &mut complete, if self.unsaved.is_none() => return End::Complete,
                item = self.batches.next() => {
                    self.report.position(&self.batches.resume_at());
                    let item = match item {
                        Some(Ok(item)) => item,
                        Some(Err(error)) => return End::Stopped(error),
                        // Only a query ends by itself.
                        None => return End::Complete,
                    };
                    if let Err(end) = self.write(&item).await {
                        return end;
                    }
                    // While batches are ready, the branch of the handle is not reached.
                    self.report.status(&handle.status(), &handle.statistics());
                    self.service.stream(&handle);
                }
                Some(status) = handle.changed() => {
                    self.report.position(&handle.resume_at());
                    self.report.status(&status, &handle.statistics());
                    self.service.stream(&handle);
                    if !matches!(status, Status::NotSaving { .. }) {
                        self.unsaved = None;
                    }
                }
                () = self.report.refresh() => {}
                () = self.service.next_beat() => {}
            }
        }
    }

    /// Writes an item and acknowledges it.
    async fn write(&mut self, item: &Item) -> Result<(), End> {
        let count = item.events().len();
        self.service.page_begins(self.outlet.time_limit(count));
        // A file is opened again between two pages.
        let mut reopens = false;
        let (failed, mut retries) = unbounded_channel();
        let written = {
            let (events, checkpoint) = (item.events(), item.checkpoint());
            let mut write = pin!(self.outlet.write(events, checkpoint, &failed));
            loop {
                select! {
                    biased;
                    signal = self.signals.next() => match signal.end() {
                        Some(end) => return Err(end),
                        None => reopens = true,
                    },
                    written = &mut write => break written,
                    Some(retry) = retries.recv() => {
                        self.report.retry(&retry);
                        self.service.page_is_retried(&retry);
                    }
                    () = self.report.refresh() => {}
                    () = self.service.next_beat() => {}
                }
            }
        };
        match written {
            Ok(Written::All) => {
                self.report.wrote(item.events());
                reopens |= self.acknowledge().await?;
                if self.unsaved.is_none() {
                    self.report.position(&item.resume_at());
                }
                self.service.page_ended();
            }
            Ok(Written::Part) => return Err(End::Counted),
            Err(error) if error.kind() == Failure::ReaderLeft => return Err(End::OutputClosed),
            Err(error) => return Err(End::OutputFailed(error)),
        }
        if self.outlet.has_enough() {
            return Err(self.unsaved.take().map_or(End::Counted, End::Stopped));
        }
        if reopens {
            self.reopen().await?;
        }
        Ok(())
    }

    /// Acknowledges the last item. If the checkpoint can't be saved now, the stream keeps the
    /// acknowledgement, saves it later, and shows that in its status. Returns `true` if a signal
    /// has come meanwhile that means to open the files again.
    async fn acknowledge(&mut self) -> Result<bool, End> {
        let acknowledged = self.batches.acknowledge();
        let (acknowledged, reopens) = unless_ended(&mut self.signals, acknowledged).await?;
        self.unsaved = match acknowledged {
            Ok(()) => None,
            Err(error) if error.kind() == ErrorKind::Checkpoint => Some(error),
            Err(error) => return Err(End::Stopped(error)),
        };
        Ok(reopens)
    }

    async fn reopen(&mut self) -> Result<(), End> {
        self.service.reload_begins();
        while let ((), true) = unless_ended(&mut self.signals, self.outlet.reopen()).await? {}
        self.service.reload_ended();
        Ok(())
    }
}

/// Waits for work on files, which may hang, for instance on a network file system. A signal that
/// ends the program ends the wait. Returns the output of the work, and `true` if a signal has come
/// that means to open the files again.
async fn unless_ended<T>(
    signals: &mut Signals,
    work: impl Future<Output = T>,
) -> Result<(T, bool), End> {
    let mut work = pin!(work);
    let mut reopens = false;
    loop {
        select! {
            biased;
            signal = signals.next() => match signal.end() {
                Some(end) => return Err(end),
                None => reopens = true,
            },
            output = &mut work => return Ok((output, reopens)),
        }
    }
}

/// Waits until all events that were created before a time are written. Waits forever if there is no
/// such time.
async fn complete(handle: StreamHandle, until: Option<SystemTime>) {
    let is_complete = match until {
        // If the stream stops before that, its own error says why.
        Some(until) => handle.wait_until_complete(until).await.is_ok(),
        None => false,
    };
    if !is_complete {
        pending::<()>().await;
    }
}

impl Signal {
    /// Returns the end of the program, if the signal means one.
    fn end(self) -> Option<End> {
        match self {
            Signal::Interrupt => Some(End::Interrupted),
            Signal::Terminate => Some(End::Terminated),
            Signal::Reopen => None,
        }
    }
}
