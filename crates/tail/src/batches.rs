//! Where the batches come from.

#[cfg(feature = "blocking")]
mod blocking;

use std::sync::Arc;

use box_longpoll::checkpoint::CheckpointFile;
use box_longpoll::{
    Batch, BatchStream, Delivery, Error, HttpTransport, LongPollClientBuilder, StartAt,
    StreamHandle, StreamPosition, Subscription, TokenSource, Update,
};

#[cfg(feature = "blocking")]
use self::blocking::BlockingBatches;
use crate::report;

/// The account's key in a checkpoint. Whose token it is the program doesn't know.
const ACCOUNT: &str = "tail";

type Transport = Arc<dyn HttpTransport>;

/// How the account is followed.
pub(crate) enum Facade {
    Async,
    Checkpoint(CheckpointFile),
    #[cfg(feature = "blocking")]
    Blocking,
}

/// The batches that come of it.
pub(crate) enum Batches {
    Async(Box<BatchStream<Transport>>),
    /// With the batch that is being shown.
    Checkpoint(Box<Subscription<Transport>>, Option<Delivery>),
    #[cfg(feature = "blocking")]
    Blocking(BlockingBatches),
}

impl Facade {
    pub(crate) fn batches(
        self,
        settings: LongPollClientBuilder,
        transport: Transport,
        tokens: impl TokenSource,
        start: StartAt,
    ) -> Result<Batches, Error> {
        match self {
            Self::Async => {
                let client = settings.build(transport, tokens)?;
                let batches = Box::new(client.batches(start));
                Ok(Batches::Async(batches))
            }
            Self::Checkpoint(store) => {
                let client = settings.build(transport, tokens)?;
                let updates = client.subscribe(store, ACCOUNT, start);
                Ok(Batches::Checkpoint(Box::new(updates), None))
            }
            #[cfg(feature = "blocking")]
            Self::Blocking => {
                let client = settings.build_blocking(transport, tokens)?;
                let batches = BlockingBatches::new(client.batches(start));
                Ok(Batches::Blocking(batches))
            }
        }
    }
}

impl Batches {
    /// The next one. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<Result<Batch, Error>> {
        match self {
            Self::Async(batches) => batches.next().await,
            Self::Checkpoint(updates, shown) => loop {
                return Some(match updates.next().await? {
                    Ok(Update::Batch(delivery)) => {
                        let batch = Batch::clone(&delivery);
                        *shown = Some(delivery);
                        Ok(batch)
                    }
                    Ok(Update::Started(_) | Update::Moved(_)) => continue,
                    Ok(Update::PossibleGap(gap)) => {
                        report::say(&gap.to_string());
                        continue;
                    }
                    Err(error) => Err(error),
                });
            },
            #[cfg(feature = "blocking")]
            Self::Blocking(batches) => batches.next().await,
        }
    }

    /// Says that the last batch has been written, all of it.
    pub(crate) async fn written(&mut self) -> Result<(), Error> {
        if let Self::Checkpoint(_, shown) = self
            && let Some(delivery) = shown.take()
        {
            delivery.ack().await?;
        }
        Ok(())
    }

    pub(crate) fn handle(&self) -> StreamHandle {
        match self {
            Self::Async(batches) => batches.handle(),
            Self::Checkpoint(updates, _) => updates.handle(),
            #[cfg(feature = "blocking")]
            Self::Blocking(batches) => batches.handle(),
        }
    }

    pub(crate) fn position(&self) -> Option<StreamPosition> {
        self.handle().resume_at().position().cloned()
    }
}
