//! [`follow`]: the main loop, which moves batches from the stream to the output.
//!
//! The loop also waits for Ctrl-C and for changes of the stream's status. It does not retry: the
//! stream does.

use std::future::pending;
use std::io;
use std::pin::pin;

use box_longpoll::Error;
use tokio::select;
use tokio::signal::ctrl_c;

use crate::batches::Batches;
use crate::output::{Output, Written};
use crate::progress;
use crate::report::Report;

/// The reason why the program ends.
pub(crate) enum End {
    /// As many events as `--count` says were written.
    Counted,
    /// The user pressed Ctrl-C.
    Interrupted,
    /// The reader of standard output has closed it.
    OutputClosed,
    /// The stream stopped with this error.
    Stopped(Error),
    /// The output failed, for instance because the disk is full.
    OutputFailed(io::Error),
}

/// Writes batch after batch. The position of a batch is reported after its events were written, and
/// before the next batch is requested.
pub(crate) async fn follow(mut batches: Batches, output: &mut Output, report: &mut Report) -> End {
    let mut handle = batches.handle();
    let mut interrupted = pin!(interrupted());
    loop {
        select! {
            // The order matters. Ctrl-C is checked first, so it works during any number of events.
            // The handle comes after the stream, so its status is never older than the last batch.
            biased;
            () = &mut interrupted => return End::Interrupted,
            item = batches.next() => {
                report.position(&batches.resume_at());
                let batch = match item {
                    Some(Ok(batch)) => batch,
                    Some(Err(error)) => return End::Stopped(error),
                    None => unreachable!("only an error ends a stream that nobody stops"),
                };
                progress::hide();
                let written = select! {
                    biased;
                    () = &mut interrupted => return End::Interrupted,
                    written = output.write(&batch) => written,
                };
                match written {
                    Ok(Written::All) => match batches.acknowledge().await {
                        Ok(()) => {
                            report.position(&batch.resume_at());
                            // While batches are ready, the branch of the handle is not reached.
                            report.status(&handle.status());
                        }
                        Err(error) => return End::Stopped(error),
                    },
                    Ok(Written::Part) => return End::Counted,
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                        return End::OutputClosed;
                    }
                    Err(error) => return End::OutputFailed(error),
                }
                if output.has_enough() {
                    return End::Counted;
                }
            }
            Some(status) = handle.changed() => {
                report.position(&handle.resume_at());
                report.status(&status);
            }
            () = report.recovered() => {}
        }
    }
}

/// Waits for Ctrl-C.
async fn interrupted() {
    if ctrl_c().await.is_err() {
        // The handler could not be installed. Then Ctrl-C ends the program like any other.
        pending::<()>().await;
    }
}
