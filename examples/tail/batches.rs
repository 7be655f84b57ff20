//! Where the batches come from.

#[cfg(feature = "blocking")]
mod blocking;

use std::sync::Arc;

use box_longpoll::{
    Batch, BatchStream, Error, HttpTransport, LongPollClientBuilder, StartAt, StreamHandle,
    StreamPosition, TokenSource,
};

#[cfg(feature = "blocking")]
use self::blocking::BlockingBatches;

type Transport = Arc<dyn HttpTransport>;

/// Which of the two clients is used.
pub(crate) enum Facade {
    Async,
    #[cfg(feature = "blocking")]
    Blocking,
}

/// The batches of one of them.
pub(crate) enum Batches {
    Async(Box<BatchStream<Transport>>),
    #[cfg(feature = "blocking")]
    Blocking(BlockingBatches<Transport>),
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
            #[cfg(feature = "blocking")]
            Self::Blocking(batches) => batches.next().await,
        }
    }

    pub(crate) fn handle(&self) -> StreamHandle {
        match self {
            Self::Async(batches) => batches.handle(),
            #[cfg(feature = "blocking")]
            Self::Blocking(batches) => batches.handle(),
        }
    }

    pub(crate) fn position(&self) -> Option<StreamPosition> {
        self.handle().position()
    }
}
