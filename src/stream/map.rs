//! Many streams, and one consumer.

mod ready;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::poll_fn;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use self::ready::{ReadyQueue, StreamWaker};

/// So many streams are polled before other tasks of the thread have their turn.
const AT_ONCE: usize = 64;

/// Streams of many accounts, followed in one loop.
///
/// `S` is [`BatchStream`](crate::BatchStream), [`EventStream`](crate::EventStream) or
/// [`Subscription`](crate::Subscription), or any other stream of results. `K` says whose it is.
///
/// ```no_run
/// # use box_longpoll::{Error, HttpTransport, LongPollClient, StartAt, StreamMap};
/// # async fn follow<T: HttpTransport>(client: LongPollClient<T>, users: Vec<String>) -> Result<(), Error> {
/// let mut streams = StreamMap::new();
/// for user in users {
///     let stream = client.as_user(&user)?.events(StartAt::Now);
///     streams.insert(user, stream);
/// }
/// while let Some((user, event)) = streams.next().await {
///     match event {
///         Ok(event) => println!("{user}: {}", event.raw()),
///         Err(error) => println!("{user} is followed no more: {}", error.display_chain()),
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// - An error is the item of one account. Its stream has ended, and is not in the set any more; the others go on. Insert a
///   new one to follow the account again. A stream that its handle has stopped leaves the set without an item.
/// - Whoever is ready has its turn, one item each: a busy account keeps no other waiting. Only streams that something has
///   happened to are polled, so ten thousand that listen cost nothing.
/// - To ask for the next item says that the one before is handled, as with each of the streams alone.
/// - All of it happens in the task that asks: none is spawned, and while an item is handled nothing is asked for. Where
///   handling takes long, hand the item to another task, with [`subscribe`](crate::LongPollClient::subscribe) to acknowledge
///   it there; or spread the accounts over several sets.
///
/// Each stream that listens has a socket. A process may open some thousand files on most systems, and more after `ulimit -n`;
/// where it has no more, the streams that go without say so in their status, and try again.
///
/// # Cancellation
///
/// What is under way lives in the streams: dropping the future of [`next`](StreamMap::next), or a timeout around it, keeps it
/// going and loses nothing. Dropping the set, or [removing](StreamMap::remove) a stream and dropping that, ends its request.
#[must_use = "streams do nothing until they are polled"]
pub struct StreamMap<K, S> {
    members: BTreeMap<u64, Member<K, S>>,
    numbers: HashMap<K, u64>,
    /// Numbers are never used twice: a waker may outlive its stream.
    last_number: u64,
    ready: Arc<ReadyQueue>,
}

struct Member<K, S> {
    key: K,
    stream: S,
    stream_waker: Arc<StreamWaker>,
    waker: Waker,
}

impl<K, S> StreamMap<K, S> {
    /// An empty set.
    pub fn new() -> Self {
        Self {
            members: BTreeMap::new(),
            numbers: HashMap::new(),
            last_number: 0,
            ready: Arc::default(),
        }
    }

    /// How many streams there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Keys and streams, in the order in which they were inserted: to see how each is doing, or to get its handle.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &S)> {
        let members = self.members.values();
        members.map(|member| (&member.key, &member.stream))
    }
}

impl<K: Clone + Eq + Hash, S> StreamMap<K, S> {
    /// Adds a stream, and gives back the one that had its key. That one can be used on by itself; dropping it ends it.
    pub fn insert(&mut self, key: K, stream: S) -> Option<S> {
        let replaced = self.remove(&key);
        self.last_number += 1;
        let number = self.last_number;
        let stream_waker = Arc::new(StreamWaker::new(number, self.ready.clone()));
        let waker = Waker::from(stream_waker.clone());
        waker.wake_by_ref();
        self.numbers.insert(key.clone(), number);
        self.members.insert(
            number,
            Member {
                key,
                stream,
                stream_waker,
                waker,
            },
        );
        replaced
    }

    /// Takes a stream out. It can be used on by itself; dropping it ends it.
    pub fn remove(&mut self, key: &K) -> Option<S> {
        let number = self.numbers.remove(key)?;
        let member = self.members.remove(&number)?;
        Some(member.stream)
    }

    /// The stream of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&S> {
        let member = self.members.get(self.numbers.get(key)?)?;
        Some(&member.stream)
    }
}

impl<K, S, I, E> StreamMap<K, S>
where
    K: Clone + Eq + Hash,
    S: Stream<Item = Result<I, E>> + Unpin,
{
    /// The next item, and whose it is. `None` while there is no stream: insert one and ask again.
    ///
    /// # Errors
    ///
    /// The error is one account's, whose stream has left the set. See that stream's own `next` for what it is.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<(K, Result<I, E>)> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<(K, Result<I, E>)>> {
        for _ in 0..AT_ONCE {
            if self.is_empty() {
                return Poll::Ready(None);
            }
            let Some(number) = self.ready.first(cx.waker()) else {
                return Poll::Pending;
            };
            // It may have been removed since.
            let Some(member) = self.members.get_mut(&number) else {
                continue;
            };
            member.stream_waker.hears();
            let mut cx = Context::from_waker(&member.waker);
            match Pin::new(&mut member.stream).poll_next(&mut cx) {
                Poll::Pending => {}
                Poll::Ready(Some(Ok(item))) => {
                    // It may have more, when all who are ready have had their turn.
                    member.stream_waker.ring();
                    return Poll::Ready(Some((member.key.clone(), Ok(item))));
                }
                Poll::Ready(ended) => {
                    let key = member.key.clone();
                    self.remove(&key);
                    if let Some(error) = ended {
                        return Poll::Ready(Some((key, error)));
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Streams that can be moved are all that a set polls.
impl<K, S> Unpin for StreamMap<K, S> {}

impl<K, S, I, E> Stream for StreamMap<K, S>
where
    K: Clone + Eq + Hash,
    S: Stream<Item = Result<I, E>> + Unpin,
{
    type Item = (K, Result<I, E>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

impl<K: Clone + Eq + Hash, S> Extend<(K, S)> for StreamMap<K, S> {
    fn extend<I: IntoIterator<Item = (K, S)>>(&mut self, streams: I) {
        for (key, stream) in streams {
            self.insert(key, stream);
        }
    }
}

impl<K: Clone + Eq + Hash, S> FromIterator<(K, S)> for StreamMap<K, S> {
    fn from_iter<I: IntoIterator<Item = (K, S)>>(streams: I) -> Self {
        let mut set = Self::new();
        set.extend(streams);
        set
    }
}

impl<K, S> Default for StreamMap<K, S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, S: fmt::Debug> fmt::Debug for StreamMap<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
