//! [`Batches`]: the batches of an account, from one of the library's interfaces.
//!
//! The program can use the async client, the async client with a checkpoint that the library or the
//! sink stores, or the blocking client. [`Mode`] chooses one of them, and `Batches` gives the main
//! loop the same methods for each.

#[cfg(feature = "blocking")]
mod blocking;

use box_longpoll::checkpoint::{Checkpoint, CheckpointFile, ResumeFrom};
use box_longpoll::enterprise::{AdminLogs, AdminLogsStreaming};
use box_longpoll::{
    Batch, BatchStream, Delivery, Error, Event, LongPollClientBuilder, Progress, StartAt,
    StreamHandle, Subscription, TokenSource, Update,
};

#[cfg(feature = "blocking")]
use self::blocking::BlockingBatches;
use crate::account::Transport;
use crate::report;

/// The account's key in a checkpoint. It is the same for all accounts, because the program doesn't
/// know the account of a token.
const ACCOUNT: &str = "tail";

/// The account that is followed, and the settings of its client.
pub(super) struct Followed<'a> {
    pub(super) settings: LongPollClientBuilder,
    /// The user that the client acts as, if there is one.
    pub(super) user: Option<&'a str>,
    pub(super) events: Events,
}

/// The events that are followed.
pub(super) enum Events {
    /// Those of the user.
    User,
    /// Those of the user's enterprise.
    Enterprise(AdminLogsStreaming),
    /// Those of the enterprise in a period that has passed.
    Past(AdminLogs),
}

/// The way to follow an account.
pub(super) enum Mode {
    /// By the async client.
    Plain,
    /// By the async client, which keeps the position in this file.
    Checkpoint(CheckpointFile),
    /// By the async client, from this checkpoint if there is one. The sink keeps the checkpoints.
    Stored(Option<Box<Checkpoint>>),
    /// By the client for programs without async.
    #[cfg(feature = "blocking")]
    Blocking,
}

/// The batches of an account.
pub(super) enum Batches {
    Plain(Box<BatchStream>),
    /// A subscription, and the batch that is being written and is not acknowledged yet.
    Checkpoint(Box<Subscription>, Option<Delivery>),
    /// A subscription, and the update that is being written and is not stored yet.
    Stored(Box<Subscription>, Option<Unstored>),
    #[cfg(feature = "blocking")]
    Blocking(BlockingBatches),
}

/// An update whose checkpoint the sink has not stored yet.
pub(super) enum Unstored {
    Delivery(Delivery),
    Progress(Box<Progress>),
}

/// The events and the checkpoint that the outlet writes at once.
pub(super) enum Item {
    Batch(Batch),
    /// A batch, and the checkpoint after it, for a sink that keeps it.
    Stored(Batch, Checkpoint),
    /// Only the checkpoint has moved.
    Moved(Checkpoint),
}

impl Item {
    pub(super) fn events(&self) -> &[Event] {
        match self {
            Self::Batch(batch) | Self::Stored(batch, _) => batch,
            Self::Moved(_) => &[],
        }
    }

    pub(super) fn checkpoint(&self) -> Option<&Checkpoint> {
        match self {
            Self::Batch(_) => None,
            Self::Stored(_, checkpoint) | Self::Moved(checkpoint) => Some(checkpoint),
        }
    }

    /// Returns the position after the events.
    pub(super) fn resume_at(&self) -> StartAt {
        match self {
            Self::Batch(batch) | Self::Stored(batch, _) => batch.resume_at(),
            Self::Moved(checkpoint) => checkpoint.resume_at(),
        }
    }
}

impl Mode {
    /// Returns `true` if the position is kept for the next run.
    pub(super) fn keeps_position(&self) -> bool {
        matches!(self, Self::Checkpoint(_) | Self::Stored(_))
    }

    /// Starts to follow the account.
    pub(super) fn batches(
        self,
        followed: Followed<'_>,
        transport: Transport,
        tokens: impl TokenSource,
        start: StartAt,
    ) -> Result<Batches, Error> {
        let Followed {
            settings,
            user,
            events,
        } = followed;
        #[cfg(feature = "blocking")]
        if let Self::Blocking = self {
            let mut client = settings.build_blocking(transport, tokens)?;
            if let Some(user) = user {
                client = client.as_user(user)?;
            }
            let batches = match events {
                Events::User => client.batches(start),
                Events::Enterprise(streaming) => client.enterprise(streaming)?.batches(start),
                Events::Past(query) => client.admin_logs(query)?.batches(start),
            };
            return Ok(Batches::Blocking(BlockingBatches::new(batches)));
        }
        let mut client = settings.build(transport, tokens)?;
        if let Some(user) = user {
            client = client.as_user(user)?;
        }
        if let Events::Past(query) = events {
            let query = client.admin_logs(query)?;
            return Ok(if let Self::Checkpoint(store) = self {
                Batches::acknowledged(query.subscribe(store, ACCOUNT, start))
            } else if let Self::Stored(from) = self {
                Batches::stored(query.subscribe_from(resume(from, start)))
            } else {
                Batches::plain(query.batches(start))
            });
        }
        if let Events::Enterprise(streaming) = events {
            client = client.enterprise(streaming)?;
        }
        Ok(if let Self::Checkpoint(store) = self {
            Batches::acknowledged(client.subscribe(store, ACCOUNT, start))
        } else if let Self::Stored(from) = self {
            Batches::stored(client.subscribe_from(resume(from, start)))
        } else {
            Batches::plain(client.batches(start))
        })
    }
}

/// Returns the place to resume at: a checkpoint if there is one.
fn resume(checkpoint: Option<Box<Checkpoint>>, start: StartAt) -> ResumeFrom {
    checkpoint.map_or_else(|| start.into(), |checkpoint| ResumeFrom::from(*checkpoint))
}

impl Batches {
    fn plain(batches: BatchStream) -> Self {
        Self::Plain(Box::new(batches))
    }

    fn acknowledged(updates: Subscription) -> Self {
        Self::Checkpoint(Box::new(updates), None)
    }

    fn stored(updates: Subscription) -> Self {
        Self::Stored(Box::new(updates), None)
    }

    /// Returns the next item to write.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if you drop the future.
    pub(super) async fn next(&mut self) -> Option<Result<Item, Error>> {
        match self {
            Self::Plain(batches) => Some(batches.next().await?.map(Item::Batch)),
            Self::Checkpoint(updates, unacknowledged) => loop {
                return Some(match updates.next().await? {
                    Ok(Update::Batch(delivery)) => {
                        let batch = Batch::clone(&delivery);
                        *unacknowledged = Some(delivery);
                        Ok(Item::Batch(batch))
                    }
                    Ok(Update::Started(_) | Update::Moved(_)) => continue,
                    Ok(Update::PossibleGap(gap)) => {
                        report::print_line(&gap.to_string());
                        continue;
                    }
                    Err(error) => Err(error),
                });
            },
            Self::Stored(updates, unstored) => loop {
                let update = match updates.next().await? {
                    Ok(update) => update,
                    Err(error) => return Some(Err(error)),
                };
                let item = match update {
                    Update::Batch(delivery) => {
                        let checkpoint = match delivery.checkpoint() {
                            Ok(checkpoint) => checkpoint,
                            Err(error) => return Some(Err(error)),
                        };
                        let batch = Batch::clone(&delivery);
                        *unstored = Some(Unstored::Delivery(delivery));
                        Item::Stored(batch, checkpoint)
                    }
                    Update::Started(progress) | Update::Moved(progress) => {
                        let checkpoint = progress.checkpoint().clone();
                        *unstored = Some(Unstored::Progress(Box::new(progress)));
                        Item::Moved(checkpoint)
                    }
                    Update::PossibleGap(gap) => {
                        report::print_line(&gap.to_string());
                        continue;
                    }
                };
                return Some(Ok(item));
            },
            #[cfg(feature = "blocking")]
            Self::Blocking(batches) => Some(batches.next().await?.map(Item::Batch)),
        }
    }

    /// Acknowledges the last item, after all of it has been written.
    pub(super) async fn acknowledge(&mut self) -> Result<(), Error> {
        match self {
            Self::Checkpoint(_, unacknowledged) => match unacknowledged.take() {
                Some(delivery) => delivery.ack().await,
                None => Ok(()),
            },
            Self::Stored(_, unstored) => {
                match unstored.take() {
                    Some(Unstored::Delivery(delivery)) => delivery.stored(),
                    Some(Unstored::Progress(progress)) => progress.stored(),
                    None => {}
                }
                Ok(())
            }
            Self::Plain(_) => Ok(()),
            #[cfg(feature = "blocking")]
            Self::Blocking(_) => Ok(()),
        }
    }

    /// Returns a handle that reports the status of the stream.
    pub(super) fn handle(&self) -> StreamHandle {
        match self {
            Self::Plain(batches) => batches.handle(),
            Self::Checkpoint(updates, _) | Self::Stored(updates, _) => updates.handle(),
            #[cfg(feature = "blocking")]
            Self::Blocking(batches) => batches.handle(),
        }
    }

    /// Returns the start at which the stream would resume now.
    pub(super) fn resume_at(&self) -> StartAt {
        self.handle().resume_at()
    }
}
