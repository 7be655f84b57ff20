//! The loop between Box and the output.

use std::future::pending;
use std::io;
use std::pin::pin;

use box_longpoll::Error;
use tokio::select;
use tokio::signal::ctrl_c;

use crate::batches::Batches;
use crate::output::{Output, Shown};
use crate::report::Report;

/// Why the program ends.
pub(crate) enum End {
    /// As many events as were wanted have been shown.
    Counted,
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// Nobody reads the output any more.
    ReaderGone,
    /// The stream stopped.
    Stopped(Error),
    /// The output takes no more, a full disk for instance.
    CantWrite(io::Error),
}

/// Shows batch after batch. A batch's position is told when its events are out, and before the next is asked for.
pub(crate) async fn follow(mut batches: Batches, output: &mut Output, report: &mut Report) -> End {
    let mut handle = batches.handle();
    let mut interrupted = pin!(interrupted());
    loop {
        select! {
            // In this order: Ctrl-C is heard among any number of events, and what the handle tells is not older than
            // what the stream was just told.
            biased;
            () = &mut interrupted => return End::Interrupted,
            item = batches.next() => {
                report.position(batches.position().as_ref());
                let batch = match item {
                    Some(Ok(batch)) => batch,
                    Some(Err(error)) => return End::Stopped(error),
                    None => unreachable!("only an error ends a stream that nobody stops"),
                };
                let shown = select! {
                    biased;
                    () = &mut interrupted => return End::Interrupted,
                    shown = output.show(&batch) => shown,
                };
                match shown {
                    Ok(Shown::Whole) => match batches.written().await {
                        Ok(()) => report.position(batch.resume_at().position()),
                        Err(error) => return End::Stopped(error),
                    },
                    Ok(Shown::Part) => return End::Counted,
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return End::ReaderGone,
                    Err(error) => return End::CantWrite(error),
                }
                if output.has_enough() {
                    return End::Counted;
                }
            }
            Some(status) = handle.changed() => {
                report.position(handle.resume_at().position());
                report.status(&status);
            }
            () = report.steady() => report.recovered(),
        }
    }
}

async fn interrupted() {
    if ctrl_c().await.is_err() {
        // Nobody can be told then, and Ctrl-C ends the program as it ends any other.
        pending::<()>().await;
    }
}
