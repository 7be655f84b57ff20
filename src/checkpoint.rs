//! What is kept of a subscription between two runs of a program.

mod directory;
mod error;
mod file;
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
use self::owner::Identity;
pub(crate) use self::owner::Owner;
use self::wire::Wire;
use crate::auth::Subject;
use crate::dedup::Window;
use crate::position::StartAt;

/// The most ids that a checkpoint carries, 32 bytes each in JSON: it is written as a whole with every acknowledgement.
/// Without the older ones a restart may bring repeats, and loses nothing.
const MAX_IDS: usize = 100_000;

/// How far a subscription has come: the end of what is acknowledged, and whose events these are.
///
/// It serializes, for a [`CheckpointStore`] of your own, and holds no token and no event: ids are kept as hashes, with the
/// key that they were made with.
///
/// It carries the number of its format, 2 in this version. Checkpoints of older formats are read, if they are kept in a
/// format that names its fields, as JSON does. One of a newer format is an error that names both numbers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Checkpoint {
    pub(crate) owner: Owner,
    resume_at: StartAt,
    last_success: SystemTime,
    key: u128,
    /// Oldest first.
    ids: Vec<u128>,
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
            last_success: whole_seconds(last_success),
            key: window.key(),
            ids: window.latest(MAX_IDS),
        }
    }

    /// The key that the program gave for the account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.owner.account
    }

    /// Which events of the account these are, by Box's name: that of a [`StreamType`](crate::config::StreamType), or
    /// `admin_logs_streaming`.
    #[must_use]
    pub fn stream_type(&self) -> &'static str {
        self.owner.stream_type
    }

    /// Returns the account that the client stood for: the user that it
    /// [acted as](crate::LongPollClientBuilder::as_user), else the subject of its [grant](crate::auth).
    ///
    /// `None` if the client did not know, as with an [`AccessToken`](crate::AccessToken) alone, and for a checkpoint of
    /// format 1.
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        self.owner.identity.as_ref().and_then(Identity::subject)
    }

    /// Where Box's API was.
    #[must_use]
    pub fn api_origin(&self) -> &str {
        &self.owner.api_origin
    }

    /// Returns where a subscription resumes: a position, or [`StartAt::Oldest`]; never [`StartAt::Now`].
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.resume_at.clone()
    }

    /// When Box last had nothing after the position, to within an hour; for a subscription that has not caught up yet, when
    /// it started.
    ///
    /// What has happened since is what may be missing after too long a time.
    #[must_use]
    pub fn last_success(&self) -> SystemTime {
        self.last_success
    }

    pub(crate) fn window(&self, capacity: usize) -> Window {
        Window::restored(capacity, self.key, &self.ids)
    }
}

/// Where a subscription begins whose checkpoints the program stores: see
/// [`subscribe_from`](crate::LongPollClient::subscribe_from).
#[derive(Clone, Debug)]
pub enum ResumeFrom {
    /// Behind what was stored with this checkpoint.
    Checkpoint(Box<Checkpoint>),
    /// There is no checkpoint yet.
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

/// It is shown to people, and compared by days.
fn whole_seconds(time: SystemTime) -> SystemTime {
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
            .finish_non_exhaustive()
    }
}

/// Where checkpoints are kept. [`CheckpointFile`] keeps one in a file, [`CheckpointDirectory`] those of many accounts; a database is another.
///
/// A checkpoint is written as a whole: after a crash at any moment the store has the one before or the one after. What
/// [`save`](CheckpointStore::save) has said to be saved is there after a crash.
///
/// Errors are shown in the [status](crate::Status) and logged, so their text must hold no secret.
///
/// ```
/// use async_trait::async_trait;
/// use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointStore};
/// # struct Table;
/// # impl Table {
/// #     async fn select(&self, _: &str) -> std::io::Result<Option<String>> { Ok(None) }
/// #     async fn upsert(&self, _: &str, _: &str) -> std::io::Result<()> { Ok(()) }
/// # }
///
/// struct InTable(Table);
///
/// #[async_trait]
/// impl CheckpointStore for InTable {
///     async fn load(&self, key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
///         match self.0.select(key).await.map_err(CheckpointError::new)? {
///             Some(json) => serde_json::from_str(&json).map_err(CheckpointError::new),
///             None => Ok(None),
///         }
///     }
///
///     async fn save(&self, key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
///         let json = serde_json::to_string(checkpoint).map_err(CheckpointError::new)?;
///         self.0.upsert(key, &json).await.map_err(CheckpointError::new)
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
    /// The checkpoint that was saved last under this key. `None`: there never was one.
    ///
    /// # Errors
    ///
    /// Whatever leaves that open. One that can't be read is an error and not `None`, which would start anew and lose what
    /// happened in between.
    async fn load(&self, key: &str) -> Result<Option<Checkpoint>, CheckpointError>;

    /// Keeps the checkpoint in place of the one before. It is durable when this returns.
    ///
    /// A subscription never has two calls of `save` under way. That is all that doesn't overlap: a call may be under way
    /// while the subscription hands out the next batch and while your code handles it, since a page that only moves the
    /// position is saved meanwhile. Calls come from whoever polls the subscription or awaits an acknowledgement.
    ///
    /// So a store can't tell from a call which batches your code has handled. In particular it must not keep rows in
    /// memory that each call writes and then clears: rows that are added while a call is under way would be cleared
    /// without being written, and the next checkpoint would skip their events. Write a batch's rows before you
    /// [acknowledge](crate::Delivery::ack) it, by the ids of their events, so that a batch that comes again changes nothing.
    ///
    /// # Errors
    ///
    /// Whatever leaves it open whether it is durable. The subscription tries again, with the newest checkpoint by then.
    ///
    /// # Cancellation
    ///
    /// The future is dropped only with the subscription and all its batches. It may have saved by then.
    async fn save(&self, key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError>;

    /// Where this key's checkpoint is kept, for messages. By default the key itself, in quotes.
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
