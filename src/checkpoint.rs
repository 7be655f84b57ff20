//! Checkpoints, and the stores that keep them between two runs of a program.
//!
//! A [`Checkpoint`] holds the position from which a subscription resumes, the ids that suppress
//! repeats, and the account that both belong to. It holds no token and no event. [`CheckpointFile`]
//! keeps one checkpoint in a file, and [`CheckpointDirectory`] keeps those of many accounts. For a
//! database, implement [`CheckpointStore`], or let
//! [`subscribe_from`](crate::LongPollClient::subscribe_from) hand the checkpoints to your own
//! transactions.

mod directory;
mod error;
mod file;
mod history;
mod owner;
mod slot;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::directory::CheckpointDirectory;
pub use self::error::CheckpointError;
pub use self::file::CheckpointFile;
pub use self::history::NewIds;
pub(crate) use self::history::{MAX_HISTORY_IDS, Since};
use self::owner::Identity;
pub(crate) use self::owner::Owner;
use self::wire::Wire;
use crate::auth::Subject;
use crate::config::StreamKind;
use crate::dedup::Window;
use crate::error::{Error, ensure};
use crate::position::{SlicePoint, StartAt};

/// The most ids that a checkpoint carries. An id takes 32 bytes in JSON, and every acknowledgement
/// writes all of them. Without the older ones, a restart may deliver repeats, but it loses nothing.
const MAX_IDS: usize = 100_000;

/// The progress of a subscription: the end of what is acknowledged, and the account that the events
/// belong to.
///
/// It serializes with serde, for a [`CheckpointStore`] of your own. It holds no token and no event.
/// Ids are kept as hashes, together with the key of the hash function. In JSON, each id takes 32
/// bytes, so with the default [window](crate::LongPollClientBuilder::dedupe_window) a checkpoint
/// takes about 80 kB.
///
/// A subscription that starts with the [history](StartAt::Since) of an enterprise has to remember
/// more ids than a checkpoint can hold. Its checkpoints therefore hold only the
/// [number](Self::history_ids) of these ids. Each checkpoint comes with the [new
/// ids](Self::new_ids), which are not serialized. A store keeps them beside the checkpoint, and
/// adds all stored ids to a checkpoint [after loading it](Self::with_ids).
///
/// A checkpoint carries the number of its format, which is 3 in this version. A checkpoint of an
/// older format can be read if the serialization stores the names of the fields, as JSON does.
/// Reading a checkpoint of a newer format is an error, which names both numbers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Checkpoint {
    pub(crate) owner: Owner,
    resume_at: StartAt,
    last_success: SystemTime,
    /// The key of the hashes.
    key: u128,
    /// The hashes of the latest ids, oldest first.
    ids: Vec<u128>,
    /// `None` unless the stream began with the history.
    since: Option<Since>,
    /// The position within the slice of the history that begins at `resume_at`.
    slice: Option<SlicePoint>,
    /// The number of the history's ids, with the new ones.
    history_ids: u64,
    /// The ids that did not come with an earlier checkpoint. They are not serialized.
    new_ids: Option<NewIds>,
    /// The ids that were stored beside the checkpoint, after they are loaded.
    stored_ids: Vec<u8>,
}

impl Checkpoint {
    pub(crate) fn new(
        owner: &Owner,
        resume_at: StartAt,
        last_success: SystemTime,
        window: &Window,
    ) -> Self {
        Self {
            owner: owner.clone(),
            resume_at,
            last_success: floor_to_second(last_success),
            key: window.key(),
            ids: window.latest(MAX_IDS),
            since: None,
            slice: None,
            history_ids: 0,
            new_ids: None,
            stored_ids: Vec::new(),
        }
    }

    /// Adds the state of a stream that began with the history. `ids` are those that did not come
    /// with an earlier checkpoint, if there are any.
    pub(crate) fn with_history(
        mut self,
        since: Option<Since>,
        slice: Option<SlicePoint>,
        ids: NewIds,
    ) -> Self {
        self.since = since;
        self.slice = slice;
        self.history_ids = ids.end();
        self.new_ids = Some(ids).filter(|ids| !ids.as_bytes().is_empty());
        self
    }

    /// Returns the program's key for the account, as passed to
    /// [`subscribe`](crate::LongPollClient::subscribe). It is empty if the subscription began with
    /// [`subscribe_from`](crate::LongPollClient::subscribe_from).
    #[must_use]
    pub fn account(&self) -> &str {
        &self.owner.account
    }

    /// Returns Box's name for the stream type: that of a [`StreamType`](crate::config::StreamType),
    /// or `admin_logs_streaming`, or `admin_logs` for a
    /// [query](crate::enterprise::AdminLogsQuery::subscribe).
    #[must_use]
    pub fn stream_type(&self) -> &'static str {
        self.owner.stream_type
    }

    /// Returns the account that the client acted for: the user that it [acted
    /// as](crate::LongPollClient::as_user), or else the subject of its [grant](crate::auth).
    ///
    /// Returns `None` if the client did not know it, as with an [`AccessToken`](crate::AccessToken)
    /// alone, and for a checkpoint of format 1.
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        self.owner.identity.as_ref().and_then(Identity::subject)
    }

    /// Returns the origin of Box's API, such as `https://api.box.com`.
    #[must_use]
    pub fn api_origin(&self) -> &str {
        &self.owner.api_origin
    }

    /// Returns the position from which a subscription resumes, or [`StartAt::Oldest`]. It is never
    /// [`StartAt::Now`].
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.resume_at.clone()
    }

    /// Returns the last time at which the subscription had caught up with Box, to within an hour.
    /// If it has not caught up yet, this is the time of the start. After a start at a
    /// [time](StartAt::Since), this is the time up to which all events are handled.
    ///
    /// If the program is away for longer than Box keeps events, the events from this time on may be
    /// missing.
    #[must_use]
    pub fn last_success(&self) -> SystemTime {
        self.last_success
    }

    /// Returns the number of ids that belong to the checkpoint and are stored beside it, including
    /// the [new ones](Self::new_ids).
    ///
    /// It is 0 unless the subscription starts with the [history](StartAt::Since) of an enterprise.
    /// It becomes 0 again 14 days after the subscription has reached the present. A store can then
    /// delete all ids.
    #[must_use]
    pub fn history_ids(&self) -> u64 {
        self.history_ids
    }

    /// Returns the ids to store together with this checkpoint. Returns `None` if there are none.
    ///
    /// Live events repeat those of the history, so a subscription that starts with the
    /// [history](StartAt::Since) of an enterprise remembers the ids of all events until 14 days
    /// after it has reached the present. In the transaction that stores the checkpoint, delete the
    /// rows of ids whose key is [`after`](NewIds::after) or higher. Then insert the new ids in a
    /// row with the key `after`. After a restart, pass all rows to [`with_ids`](Self::with_ids).
    ///
    /// If you do not store the ids, no event is lost. But after a restart, some events may be
    /// delivered again: those in the part of the history that was being read, and those that live
    /// events repeat.
    #[must_use]
    pub fn new_ids(&self) -> Option<&NewIds> {
        self.new_ids.as_ref()
    }

    /// Returns the checkpoint with the ids that were stored beside it. The parts may be in any
    /// order. Each has the number from [`after`](NewIds::after) and the bytes from
    /// [`as_bytes`](NewIds::as_bytes).
    ///
    /// Pass everything that was stored. This method ignores ids that do not belong to this
    /// checkpoint, and everything after a missing part. If there are more than 10 million ids, it
    /// uses the latest ones.
    #[must_use]
    pub fn with_ids(mut self, parts: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Self {
        self.stored_ids = history::joined(parts, self.history_ids);
        self
    }

    /// Sets the ids that were stored beside the checkpoint, up to 10 million of the latest that
    /// belong to it.
    fn with_stored_ids(mut self, ids: Vec<u8>) -> Self {
        self.stored_ids = ids;
        self
    }

    /// Returns a checkpoint of the same account and stream that resumes at another position, as if a
    /// subscription had started there at the time `now`.
    ///
    /// If the new position is earlier, the events after it are delivered again: the ids that
    /// suppress repeats are left out. If it is later, the events before it are never delivered. If
    /// it belongs to another account or stream, events are lost without an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if `start` is [`StartAt::Now`], because a
    /// checkpoint has a position; or if it is a [time](StartAt::Since), and Box has no history of
    /// the stream's events.
    pub fn moved_to(&self, start: impl Into<StartAt>, now: SystemTime) -> Result<Self, Error> {
        let start = start.into();
        let from = match start {
            StartAt::Now => return Err(Error::config("a checkpoint can't resume at `now`")),
            StartAt::Since(from) => Some(from),
            StartAt::Oldest | StartAt::At(_) => None,
        };
        ensure(
            from.is_none() || StreamKind::has_history(self.stream_type()),
            "only a checkpoint of an enterprise's events can resume at a time",
        )?;
        let complete_at = match from {
            Some(from) => SystemTime::try_from(from).unwrap_or(SystemTime::UNIX_EPOCH),
            None => now,
        };
        Ok(Self {
            resume_at: start,
            last_success: floor_to_second(complete_at),
            ids: Vec::new(),
            since: from.map(|from| Since {
                from,
                forget_ids_at: None,
                history_began_at: None,
            }),
            slice: None,
            history_ids: 0,
            new_ids: None,
            stored_ids: Vec::new(),
            ..self.clone()
        })
    }

    pub(crate) fn window(&self, capacity: usize) -> Window {
        Window::restored(capacity, self.key, &self.ids)
    }

    /// Returns the state of a stream that began with the history.
    pub(crate) fn since(&self) -> Option<Since> {
        self.since
    }

    /// Returns the position within a slice of the history.
    pub(crate) fn slice(&self) -> Option<&SlicePoint> {
        self.slice.as_ref()
    }

    /// Returns the ids that were stored beside the checkpoint, if they were loaded.
    pub(crate) fn stored_ids(&self) -> &[u8] {
        &self.stored_ids
    }
}

/// The start of a subscription whose checkpoints the program stores: see
/// [`subscribe_from`](crate::LongPollClient::subscribe_from).
#[derive(Clone, Debug)]
pub enum ResumeFrom {
    /// A stored checkpoint. The subscription resumes after it.
    Checkpoint(Box<Checkpoint>),
    /// A new start, without a checkpoint.
    Start(StartAt),
}

impl From<Checkpoint> for ResumeFrom {
    fn from(checkpoint: Checkpoint) -> Self {
        Self::Checkpoint(Box::new(checkpoint))
    }
}

impl<S: Into<StartAt>> From<S> for ResumeFrom {
    fn from(start: S) -> Self {
        Self::Start(start.into())
    }
}

/// Rounds a time down to a second. People read it, and it is compared with days.
fn floor_to_second(time: SystemTime) -> SystemTime {
    let since_1970 = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970.as_secs())
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("account", &self.account())
            .field("stream_type", &self.stream_type())
            .field("api_origin", &self.api_origin())
            .field("subject", &self.subject())
            .field("resume_at", &self.resume_at)
            .field("last_success", &self.last_success)
            .field("ids", &self.ids.len())
            .field("history_ids", &self.history_ids)
            .finish_non_exhaustive()
    }
}

/// A place that keeps checkpoints. [`CheckpointFile`] keeps one in a file, and
/// [`CheckpointDirectory`] keeps those of many accounts. You can implement this trait for a
/// database.
///
/// A store must replace a checkpoint atomically: after a crash at any moment, it has the old one or
/// the new one. Once [`save`](CheckpointStore::save) has returned without an error, the checkpoint
/// must survive a crash. The client sets no time limit for either call.
///
/// Errors are logged and shown in the [status](crate::Status), so their text must not contain a
/// secret.
///
/// A subscription that starts with the [history](StartAt::Since) of an enterprise has
/// [ids](Checkpoint::new_ids) to store beside its checkpoints. A database stores them in a second
/// table, with one row for each part. A store that ignores them also works, but events may then be
/// delivered again after a restart.
///
/// ```
/// use async_trait::async_trait;
/// use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointStore};
/// # struct Database;
/// # struct Transaction;
/// # impl Database {
/// #     async fn select(&self, _: &str) -> std::io::Result<Option<String>> { Ok(None) }
/// #     async fn select_ids(&self, _: &str) -> std::io::Result<Vec<(u64, Vec<u8>)>> { Ok(vec![]) }
/// #     async fn begin(&self) -> std::io::Result<Transaction> { Ok(Transaction) }
/// # }
/// # impl Transaction {
/// #     async fn upsert(&mut self, _: &str, _: &str) -> std::io::Result<()> { Ok(()) }
/// #     async fn insert_ids(&mut self, _: &str, _: u64, _: &[u8]) -> std::io::Result<()> { Ok(()) }
/// #     async fn delete_ids_from(&mut self, _: &str, _: u64) -> std::io::Result<()> { Ok(()) }
/// #     async fn commit(self) -> std::io::Result<()> { Ok(()) }
/// # }
///
/// struct InTables(Database);
///
/// #[async_trait]
/// impl CheckpointStore for InTables {
///     async fn load(&self, key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
///         let Some(json) = self.0.select(key).await.map_err(CheckpointError::new)? else {
///             return Ok(None);
///         };
///         let checkpoint: Checkpoint = serde_json::from_str(&json).map_err(CheckpointError::new)?;
///         let parts = self.0.select_ids(key).await.map_err(CheckpointError::new)?;
///         Ok(Some(checkpoint.with_ids(parts)))
///     }
///
///     async fn save(&self, key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
///         let json = serde_json::to_string(checkpoint).map_err(CheckpointError::new)?;
///         let write = async {
///             let mut transaction = self.0.begin().await?;
///             transaction.upsert(key, &json).await?;
///             if let Some(new) = checkpoint.new_ids() {
///                 // delete from ids where account = $1 and after >= $2
///                 transaction.delete_ids_from(key, new.after()).await?;
///                 transaction.insert_ids(key, new.after(), new.as_bytes()).await?;
///             } else if checkpoint.history_ids() == 0 {
///                 transaction.delete_ids_from(key, 0).await?;
///             }
///             transaction.commit().await
///         };
///         write.await.map_err(CheckpointError::new)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` stores no checkpoints",
    label = "not a `CheckpointStore`",
    note = "for a file, pass `checkpoint::CheckpointFile::open(path)?`",
    note = "for any other place, implement `CheckpointStore` for a type of yours"
)]
#[async_trait]
pub trait CheckpointStore: Send + Sync + 'static {
    /// Returns the checkpoint that was last saved under this key, or `None` if there never was one.
    ///
    /// # Errors
    ///
    /// Return an error if the checkpoint can't be read, or if it is not known whether there is one.
    /// After `None`, the subscription would start over, and lose the events in between. The error
    /// ends the subscription.
    ///
    /// # Cancellation
    ///
    /// The future is dropped if the subscription is dropped.
    async fn load(&self, key: &str) -> Result<Option<Checkpoint>, CheckpointError>;

    /// Saves the checkpoint in place of the one before. It is durable when this returns.
    ///
    /// A subscription never has two calls of `save` in flight. It guarantees nothing else. A page
    /// that only moves the position is saved as well, so a call may be in flight while the
    /// subscription delivers the next batch, and while your code handles it. The call runs in the
    /// task that polls the subscription or awaits an acknowledgement.
    ///
    /// A store therefore can't tell from a call which batches your code has handled. In particular,
    /// do not collect rows in memory for `save` to write and then clear. Rows that your code adds
    /// during the call would be cleared without being written, and the next checkpoint would skip
    /// their events. Instead, write a batch's rows before you [acknowledge](crate::Delivery::ack)
    /// it. Use the ids of the events as keys, so that a second delivery of the batch changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// Return an error unless the checkpoint is durable. The subscription retries with the
    /// checkpoint that is newest by then.
    ///
    /// # Cancellation
    ///
    /// The future is dropped only after the subscription and all its batches are dropped. The
    /// checkpoint may be saved or not by then.
    async fn save(&self, key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError>;

    /// Returns the place of this key's checkpoint, for error messages. By default, that is the key
    /// in quotes.
    fn location(&self, key: &str) -> String {
        format!("{key:?}")
    }
}

#[async_trait]
impl<S: CheckpointStore + ?Sized> CheckpointStore for Arc<S> {
    async fn load(&self, key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        (**self).load(key).await
    }

    async fn save(&self, key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        (**self).save(key, checkpoint).await
    }

    fn location(&self, key: &str) -> String {
        (**self).location(key)
    }
}
