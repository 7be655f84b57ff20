//! Streams of many accounts in one loop.
//!
//! A [`StreamMap`] lets one task follow thousands of accounts. It polls only the streams that were
//! woken, in the order of their wakeups, so idle accounts cost nothing and a busy one delays no
//! other. It spawns no task. Start at [`StreamMap::insert`] and [`StreamMap::next`].

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

/// The most streams that one poll of the map polls before it yields to the other tasks of the
/// thread. 64 keeps a poll short even if thousands of streams are ready.
const MAX_POLLS: usize = 64;

/// Streams of many accounts, followed in one loop.
///
/// `S` is [`BatchStream`](crate::BatchStream), [`EventStream`](crate::EventStream),
/// [`Subscription`](crate::Subscription), or any other stream of results. `K` is the key of the
/// account.
///
/// ```no_run
/// # use box_longpoll::{Error, HttpTransport, LongPollClient, StartAt, StreamMap};
/// # async fn follow<T: HttpTransport>(
/// #     client: LongPollClient<T>,
/// #     users: Vec<String>,
/// # ) -> Result<(), Error> {
/// let mut streams = StreamMap::new();
/// for user in users {
///     let stream = client.as_user(&user)?.events(StartAt::Now);
///     streams.insert(user, stream);
/// }
/// while let Some((user, event)) = streams.next().await {
///     match event {
///         Ok(event) => println!("{user}: {}", event.raw()),
///         Err(error) => println!("{user} is no longer followed: {}", error.display_chain()),
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// - An error is an item of one account. The stream of that account has ended and has left the map;
///   the others continue. Insert a new stream to follow the account again. A stream that its handle
///   has stopped leaves the map without an item.
/// - Ready streams take turns, with one item each, so a busy account delays no other. The map polls
///   only streams that were woken, so ten thousand idle ones cost nothing.
/// - When you request the next item, the one before counts as handled, as for a single stream.
/// - The map runs in the task that polls it and spawns none. While your code handles an item, the
///   requests that are in flight proceed, but no stream sends another one. If handling takes long,
///   hand the item to another task, and acknowledge it there with
///   [`subscribe`](crate::LongPollClient::subscribe). Or spread the accounts over several maps.
///
/// Each idle stream has a socket. On most systems, a process may have a few thousand files and
/// sockets open; `ulimit -n` raises that limit. If the process reaches the limit, the streams
/// without a socket show that in their status and retry.
///
/// # Cancellation
///
/// Operations in flight belong to the streams. If you drop the future of [`next`](StreamMap::next),
/// or wrap it in a timeout, they continue and nothing is lost. If you drop the map, or a stream
/// that you have [removed](StreamMap::remove), its requests in flight end.
#[must_use = "streams do nothing until they are polled"]
pub struct StreamMap<K, S> {
    /// The streams by their numbers.
    members: BTreeMap<u64, Member<K, S>>,
    /// The numbers of the streams by key.
    numbers: HashMap<K, u64>,
    /// The last number in use. Numbers are never reused, because a waker may outlive its stream.
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
    /// Creates an empty map.
    pub fn new() -> Self {
        Self {
            members: BTreeMap::new(),
            numbers: HashMap::new(),
            last_number: 0,
            ready: Arc::default(),
        }
    }

    /// Returns the number of streams.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns `true` if the map has no stream.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns the keys and streams in the order of their insertion. Use it to read a status or to
    /// get a handle.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &S)> {
        let members = self.members.values();
        members.map(|member| (&member.key, &member.stream))
    }
}

impl<K: Clone + Eq + Hash, S> StreamMap<K, S> {
    /// Adds a stream, and returns the one that had the same key. You can go on polling the returned
    /// stream by itself; dropping it ends it.
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

    /// Removes a stream and returns it. You can go on polling it by itself; dropping it ends it.
    pub fn remove(&mut self, key: &K) -> Option<S> {
        let number = self.numbers.remove(key)?;
        let member = self.members.remove(&number)?;
        Some(member.stream)
    }

    /// Returns the stream of a key.
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
    /// Returns the next item and the key of its account. Returns `None` while the map is empty:
    /// insert a stream and call again.
    ///
    /// # Errors
    ///
    /// The error of one account, whose stream has left the map. See the stream's own `next` for its
    /// meaning.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<(K, Result<I, E>)> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<(K, Result<I, E>)>> {
        for _ in 0..MAX_POLLS {
            if self.is_empty() {
                return Poll::Ready(None);
            }
            let Some(number) = self.ready.pop(cx.waker()) else {
                return Poll::Pending;
            };
            // The stream may have been removed since it was woken.
            let Some(member) = self.members.get_mut(&number) else {
                continue;
            };
            member.stream_waker.start_poll();
            let mut cx = Context::from_waker(&member.waker);
            match Pin::new(&mut member.stream).poll_next(&mut cx) {
                Poll::Pending => {}
                Poll::Ready(Some(Ok(item))) => {
                    // The stream may have more items. It queues behind the others that are ready.
                    member.stream_waker.enqueue();
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

/// The map polls only streams that can be moved.
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
        let mut map = Self::new();
        map.extend(streams);
        map
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
