use std::collections::VecDeque;
use std::iter;

use super::*;

fn window(capacity: usize) -> Window {
    Window::new(capacity, &mut fastrand::Rng::with_seed(1))
}

#[test]
fn oldest_id_leaves_first_when_the_window_is_full() {
    let mut window = window(3);
    for id in ["a", "b", "c"] {
        assert!(window.insert(id));
    }
    assert!(!window.insert("a"), "still in the window");
    assert!(window.insert("d"), "pushes a out");
    assert!(!window.insert("b"));
    assert!(window.insert("a"), "no longer in the window");
    assert_eq!(window.latest(9).len(), 3);
}

#[test]
fn restored_window_holds_the_same_ids() {
    let mut window = window(3);
    for id in ["a", "b", "c"] {
        window.insert(id);
    }
    let mut restored = Window::restored(3, window.key(), &window.latest(2));
    assert!(!restored.insert("b"));
    assert!(!restored.insert("c"));
    assert!(restored.insert("a"), "the oldest was left out");
}

#[test]
fn hash_uses_the_upper_half_of_the_key_first() {
    let window = Window::restored(1, 0x1 << 64 | 0x2, &[]);
    let mut hasher = SipHasher13::new_with_keys(0x1, 0x2);
    hasher.write(b"a");
    assert_eq!(window.hash("a"), hasher.finish128().as_u128());
}

#[test]
fn window_holds_the_same_ids_as_a_plain_list() {
    let mut rng = fastrand::Rng::with_seed(7);
    for capacity in [1, 2, 3, 50, 2_500, MAX_WINDOW] {
        let mut capacity = capacity;
        let mut window = window(capacity);
        let mut list = VecDeque::new();
        let different = rng.u32(1..3) * u32::try_from(capacity).unwrap().min(4_000);
        for _ in 0..20_000 {
            if rng.u32(..2_000) == 0 {
                capacity = (capacity + rng.usize(..20)).min(MAX_WINDOW);
                window.hold_at_least(capacity);
            }
            let hash = u128::from(rng.u32(..different)) << rng.u32(..2);
            let first_seen = !list.contains(&hash);
            if first_seen {
                list.push_back(hash);
                if list.len() > capacity {
                    list.pop_front();
                }
            }
            assert_eq!(window.insert_hash(hash), first_seen);
        }
        assert_eq!(window.latest(usize::MAX), Vec::from(list));
    }
}

#[test]
fn ids_that_differ_in_any_of_96_bits_are_distinct() {
    let mut window = window(100);
    let hashes: Vec<u128> = (0..96).map(|bit| 1 << bit).collect();
    for hash in &hashes {
        assert!(window.insert_hash(*hash), "{hash:x}");
    }
    assert_eq!(window.latest(100), hashes);
}

#[test]
fn full_window_takes_under_15_bytes_per_id() {
    let mut window = window(2_500);
    for id in 0..10_000 {
        assert!(window.insert(&id.to_string()));
    }
    let bytes = size_of_val(&window.hashes[..]) + 2 * (window.heads.len() + window.older.len());
    assert!(bytes < 2_500 * 15, "{bytes}");
    assert_eq!(window.hashes.capacity(), 2_500);
    assert_eq!(window.older.capacity(), 2_500);
}

/// Returns the most ids that an id is compared with.
fn longest_chain(window: &Window) -> usize {
    let place = |place: u16| Some(place).filter(|place| *place != NONE);
    let lengths = window.heads.iter().map(|head| {
        let older = |at: &u16| place(window.older[usize::from(*at)]);
        iter::successors(place(*head), older).count()
    });
    lengths.max().unwrap_or_default()
}

#[test]
fn id_is_compared_with_at_most_16_others() {
    let mut window = window(MAX_WINDOW);
    for id in 0..100_000 {
        window.insert(&id.to_string());
        if id % 1_000 == 0 {
            let longest = longest_chain(&window);
            assert!(longest <= 16, "{longest} after {id}");
        }
    }
}

#[test]
fn growing_window_is_rarely_moved_and_reindexed() {
    let mut window = window(MAX_WINDOW);
    let mut sizes = Vec::new();
    for id in 0..MAX_WINDOW {
        window.insert(&id.to_string());
        sizes.push((window.hashes.capacity(), window.heads.len()));
    }
    sizes.dedup();
    assert!(sizes.len() < 30, "{sizes:?}");
}
