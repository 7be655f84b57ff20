//! [`Batches`]: the batches of an account, from one of the library's three interfaces.
//!
//! The program can use the async client, the async client with a checkpoint, or the blocking
//! client. [`FollowMode`] chooses one of them, and `Batches` gives the main loop the same methods
//! for each.

#[cfg(feature = "blocking")]
mod blocking;

use std::sync::Arc;

use box_longpoll::checkpoint::CheckpointFile;
use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::{
    Batch, BatchStream, Delivery, Error, HttpTransport, LongPollClient, LongPollClientBuilder,
    StartAt, StreamHandle, Subscription, TokenSource, Update,
};

#[cfg(feature = "blocking")]
use self::blocking::BlockingBatches;
use crate::report;

/// The account's key in a checkpoint. It is the same for all accounts, because the program doesn't
/// know the account of a token.
const ACCOUNT: &str = "tail";

type Transport = Arc<dyn HttpTransport>;

/// The user that the client acts as, if there is one, and the settings for the events of the user's
/// enterprise. Without these, the events are those of the user.
type Account<'a> = (Option<&'a str>, Option<AdminLogsStreaming>);

/// The way to follow an account.
pub(crate) enum FollowMode {
    /// By the async client.
    Async,
    /// By the async client, which keeps the position in this file.
    Checkpoint(CheckpointFile),
    /// By the client for programs without async.
    #[cfg(feature = "blocking")]
    Blocking,
}

/// The batches of an account.
pub(crate) enum Batches {
    Async(Box<BatchStream<Transport>>),
    /// A subscription, and the batch that is being written and is not acknowledged yet.
    Checkpoint(Box<Subscription<Transport>>, Option<Delivery>),
    #[cfg(feature = "blocking")]
    Blocking(BlockingBatches),
}

impl FollowMode {
    /// Starts to follow the account.
    pub(crate) fn batches(
        self,
        settings: LongPollClientBuilder,
        account: Account<'_>,
        transport: Transport,
        tokens: impl TokenSource,
        start: StartAt,
    ) -> Result<Batches, Error> {
        match self {
            Self::Async => {
                let client = client(settings, account, transport, tokens)?;
                let batches = Box::new(client.batches(start));
                Ok(Batches::Async(batches))
            }
            Self::Checkpoint(store) => {
                let client = client(settings, account, transport, tokens)?;
                let updates = client.subscribe(store, ACCOUNT, start);
                Ok(Batches::Checkpoint(Box::new(updates), None))
            }
            #[cfg(feature = "blocking")]
            Self::Blocking => {
                let mut client = settings.build_blocking(transport, tokens)?;
                let (user, enterprise) = account;
                if let Some(user) = user {
                    client = client.as_user(user)?;
                }
                if let Some(streaming) = enterprise {
                    client = client.enterprise(streaming)?;
                }
                let batches = BlockingBatches::new(client.batches(start));
                Ok(Batches::Blocking(batches))
            }
        }
    }
}

/// Returns a client for the account.
fn client(
    settings: LongPollClientBuilder,
    (user, enterprise): Account<'_>,
    transport: Transport,
    tokens: impl TokenSource,
) -> Result<LongPollClient<Transport>, Error> {
    let mut client = settings.build(transport, tokens)?;
    if let Some(user) = user {
        client = client.as_user(user)?;
    }
    if let Some(streaming) = enterprise {
        client = client.enterprise(streaming)?;
    }
    Ok(client)
}

impl Batches {
    /// Returns the next batch.
    ///
    /// # Cancellation
    ///
    /// No batch is lost if you drop the future.
    pub(crate) async fn next(&mut self) -> Option<Result<Batch, Error>> {
        match self {
            Self::Async(batches) => batches.next().await,
            Self::Checkpoint(updates, unacknowledged) => loop {
                return Some(match updates.next().await? {
                    Ok(Update::Batch(delivery)) => {
                        let batch = Batch::clone(&delivery);
                        *unacknowledged = Some(delivery);
                        Ok(batch)
                    }
                    Ok(Update::Started(_) | Update::Moved(_)) => continue,
                    Ok(Update::PossibleGap(gap)) => {
                        report::print_line(&gap.to_string());
                        continue;
                    }
                    Err(error) => Err(error),
                });
            },
            #[cfg(feature = "blocking")]
            Self::Blocking(batches) => batches.next().await,
        }
    }

    /// Acknowledges the last batch, after all of it has been written.
    pub(crate) async fn acknowledge(&mut self) -> Result<(), Error> {
        if let Self::Checkpoint(_, unacknowledged) = self
            && let Some(delivery) = unacknowledged.take()
        {
            delivery.ack().await?;
        }
        Ok(())
    }

    /// Returns a handle that reports the status of the stream.
    pub(crate) fn handle(&self) -> StreamHandle {
        match self {
            Self::Async(batches) => batches.handle(),
            Self::Checkpoint(updates, _) => updates.handle(),
            #[cfg(feature = "blocking")]
            Self::Blocking(batches) => batches.handle(),
        }
    }

    /// Returns the start at which the stream would resume now.
    pub(crate) fn resume_at(&self) -> StartAt {
        self.handle().resume_at()
    }
}
