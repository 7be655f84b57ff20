//! Proves the behavior of `StreamMap` with arbitrary streams: fairness, wake-ups, ends and errors.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use box_longpoll::StreamMap;
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_core::Stream;
use futures_lite::StreamExt;
use futures_lite::future::{block_on, poll_once};

use crate::fake_box::PATIENCE;

type Item = Result<u32, &'static str>;

/// A stream of the items that are sent to it. It counts its polls.
struct Fed {
    items: UnboundedReceiver<Item>,
    polls: Rc<RefCell<usize>>,
}

impl Stream for Fed {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        *self.polls.borrow_mut() += 1;
        Pin::new(&mut self.items).poll_next(cx)
    }
}

/// A map, with the senders for its streams.
#[derive(Default)]
struct World {
    streams: StreamMap<char, Fed>,
    feeds: HashMap<char, UnboundedSender<Item>>,
    polls: Rc<RefCell<usize>>,
}

impl World {
    fn of(keys: &str) -> Self {
        let mut world = Self::default();
        for key in keys.chars() {
            world.insert(key);
        }
        world
    }

    fn insert(&mut self, key: char) -> Option<Fed> {
        let (feed, items) = unbounded();
        let polls = self.polls.clone();
        self.feeds.insert(key, feed);
        self.streams.insert(key, Fed { items, polls })
    }

    fn feed(&self, key: char, items: impl IntoIterator<Item = Item>) {
        for item in items {
            self.feeds[&key].unbounded_send(item).unwrap();
        }
    }

    fn end(&mut self, key: char) {
        self.feeds.remove(&key);
    }

    fn poll(&mut self) -> Poll<Option<(char, Item)>> {
        match block_on(poll_once(self.streams.next())) {
            Some(next) => Poll::Ready(next),
            None => Poll::Pending,
        }
    }

    #[track_caller]
    fn assert_gives(&mut self, key: char, item: Item) {
        assert_eq!(self.poll(), Poll::Ready(Some((key, item))));
    }

    #[track_caller]
    fn assert_waits(&mut self) {
        assert_eq!(self.poll(), Poll::Pending);
    }
}

#[test]
fn map_takes_one_item_from_each_ready_stream_in_turn() {
    let mut world = World::of("ab");
    world.feed('a', (0..100).map(Ok));
    world.feed('b', (0..3).map(Ok));
    for n in 0..3 {
        world.assert_gives('a', Ok(n));
        world.assert_gives('b', Ok(n));
    }
    for n in 3..10 {
        world.assert_gives('a', Ok(n));
    }
    world.feed('b', [Ok(3)]);
    world.assert_gives('a', Ok(10));
    world.assert_gives('b', Ok(3));
    world.assert_gives('a', Ok(11));
}

#[test]
fn map_is_a_stream_of_the_items_of_its_streams() {
    let mut world = World::of("a");
    world.feed('a', [Ok(1)]);
    let item = block_on(StreamExt::next(&mut world.streams));
    assert_eq!(item, Some(('a', Ok(1))));
}

#[test]
fn error_ends_its_stream_and_no_other() {
    let mut world = World::of("ab");
    world.feed('a', [Ok(1), Err("over"), Ok(2)]);
    world.assert_gives('a', Ok(1));
    world.assert_gives('a', Err("over"));
    assert_eq!(world.streams.len(), 1);
    assert!(world.streams.get(&'a').is_none());
    assert!(world.streams.get(&'b').is_some());
    world.feed('b', [Ok(3)]);
    world.assert_gives('b', Ok(3));
    // A new stream may have the same key.
    assert!(world.insert('a').is_none());
    world.feed('a', [Ok(4)]);
    world.assert_gives('a', Ok(4));
    world.assert_waits();
}

#[test]
fn map_ends_when_its_last_stream_ends() {
    let mut world = World::of("ab");
    world.assert_waits();
    world.end('a');
    world.assert_waits();
    assert_eq!(
        world
            .streams
            .iter()
            .map(|(key, _)| *key)
            .collect::<String>(),
        "b"
    );
    world.end('b');
    assert_eq!(world.poll(), Poll::Ready(None));
    assert!(world.streams.is_empty());
    world.insert('c');
    world.feed('c', [Ok(1)]);
    world.assert_gives('c', Ok(1));
}

#[test]
fn stream_is_returned_with_its_items_when_it_is_replaced() {
    let mut world = World::of("ab");
    world.feed('a', [Ok(1), Ok(2)]);
    world.assert_gives('a', Ok(1));
    let mut replaced = world.insert('a').expect("there was one");
    assert_eq!(
        block_on(poll_once(next_of(&mut replaced))),
        Some(Some(Ok(2)))
    );
    world.feed('b', [Ok(3)]);
    let mut removed = world.streams.remove(&'b').expect("it was there");
    assert!(world.streams.remove(&'b').is_none());
    assert_eq!(
        block_on(poll_once(next_of(&mut removed))),
        Some(Some(Ok(3)))
    );
    world.feed('a', [Ok(4)]);
    world.assert_gives('a', Ok(4));
    world.assert_waits();
}

async fn next_of(stream: &mut Fed) -> Option<Item> {
    std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

#[test]
fn streams_are_not_polled_when_they_were_not_woken() {
    let mut world = World::default();
    let keys: Vec<char> = ('\u{4e00}'..).take(1_000).collect();
    for key in &keys {
        world.insert(*key);
    }
    while *world.polls.borrow() < 1_000 {
        world.assert_waits();
    }
    world.assert_waits();
    for key in &keys[..100] {
        world.feed(*key, [Ok(7)]);
        world.assert_gives(*key, Ok(7));
        world.assert_waits();
    }
    // Each fed stream is polled once for the item, and once to find no other.
    assert_eq!(*world.polls.borrow(), 1_200);
}

/// A waker that counts its calls.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn map_yields_when_many_streams_are_ready_without_an_item() {
    let mut world = World::default();
    for key in ('\u{4e00}'..).take(1_000) {
        world.insert(key);
    }
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    let mut waits = 0;
    while *world.polls.borrow() < 1_000 {
        assert!(pin!(world.streams.next()).poll(&mut cx).is_pending());
        let wakes_itself = woken.0.load(Ordering::SeqCst) > waits;
        assert_eq!(wakes_itself, *world.polls.borrow() < 1_000);
        waits += 1;
    }
    assert!(waits > 10, "{waits}");
}

#[test]
fn task_is_woken_once_when_several_streams_become_ready() {
    let mut world = World::of("ab");
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(pin!(world.streams.next()).poll(&mut cx).is_pending());
    assert_eq!(woken.0.load(Ordering::SeqCst), 0);
    world.feed('a', [Ok(1), Ok(2)]);
    world.feed('b', [Ok(3)]);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    for _ in 0..3 {
        assert!(pin!(world.streams.next()).poll(&mut cx).is_ready());
    }
    assert!(pin!(world.streams.next()).poll(&mut cx).is_pending());
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    world.insert('c');
    assert_eq!(woken.0.load(Ordering::SeqCst), 2);
}

/// A waker that feeds a stream when it is dropped, like an executor's task that is dropped together
/// with its waker.
struct FeedsWhenDropped(UnboundedSender<Item>);

impl Wake for FeedsWhenDropped {
    fn wake(self: Arc<Self>) {}
}

impl Drop for FeedsWhenDropped {
    fn drop(&mut self) {
        self.0.unbounded_send(Ok(7)).unwrap();
    }
}

#[test]
fn map_is_unlocked_while_it_drops_a_waker() {
    let (done, outcome) = mpsc::channel();
    thread::spawn(move || {
        let mut world = World::of("a");
        let waker = Waker::from(Arc::new(FeedsWhenDropped(world.feeds[&'a'].clone())));
        let first = pin!(world.streams.next()).poll(&mut Context::from_waker(&waker));
        assert!(first.is_pending());
        drop(waker);
        // The map has the last clone of the first call's waker. It drops it during one of these two
        // calls.
        world.assert_waits();
        world.assert_gives('a', Ok(7));
        done.send(()).unwrap();
    });
    assert!(outcome.recv_timeout(PATIENCE).is_ok(), "the map hangs");
}

#[test]
fn map_wakes_its_newest_task_when_it_was_moved() {
    let mut world = World::of("a");
    let [first, second] = [(); 2].map(|()| Arc::new(Woken::default()));
    for woken in [&first, &second] {
        let waker = Waker::from(woken.clone());
        let next = pin!(world.streams.next()).poll(&mut Context::from_waker(&waker));
        assert!(next.is_pending());
    }
    world.feed('a', [Ok(1)]);
    assert_eq!(second.0.load(Ordering::SeqCst), 1);
    world.assert_gives('a', Ok(1));
}
