use std::collections::VecDeque;
use std::iter;

use super::*;

fn window(capacity: usize) -> Window {
    Window::new(capacity, &mut fastrand::Rng::with_seed(1))
}

#[test]
fn the_oldest_id_leaves_first_and_only_when_the_window_is_full() {
    let mut window = window(3);
    for id in ["a", "b", "c"] {
        assert!(window.insert(id));
    }
    assert!(!window.insert("a"), "still inside");
    assert!(window.insert("d"), "pushes a out");
    assert!(!window.insert("b"));
    assert!(window.insert("a"), "outside by now");
    assert_eq!(window.latest(9).len(), 3);
}

#[test]
fn a_restored_window_knows_what_the_one_before_it_knew() {
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
fn hash_has_the_keys_upper_half_first() {
    let window = Window::restored(1, 0x1 << 64 | 0x2, &[]);
    let mut hasher = SipHasher13::new_with_keys(0x1, 0x2);
    hasher.write(b"a");
    assert_eq!(window.hash("a"), hasher.finish128().as_u128());
}

#[test]
fn a_window_knows_what_a_plain_list_knows() {
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
fn each_of_96_bits_tells_two_ids_from_each_other() {
    let mut window = window(100);
    let hashes: Vec<u128> = (0..96).map(|bit| 1 << bit).collect();
    for hash in &hashes {
        assert!(window.insert_hash(*hash), "{hash:x}");
    }
    assert_eq!(window.latest(100), hashes);
}

#[test]
fn a_full_window_has_room_for_its_ids_and_little_else() {
    let mut window = window(2_500);
    for id in 0..10_000 {
        assert!(window.insert(&id.to_string()));
    }
    let bytes = size_of_val(&window.hashes[..]) + 2 * (window.heads.len() + window.older.len());
    assert!(bytes < 2_500 * 15, "{bytes}");
    assert_eq!(window.hashes.capacity(), 2_500);
    assert_eq!(window.older.capacity(), 2_500);
}

/// With how many ids each id is compared at most.
fn longest_chain(window: &Window) -> usize {
    let place = |place: u16| Some(place).filter(|place| *place != NONE);
    let lengths = window.heads.iter().map(|head| {
        let older = |at: &u16| place(window.older[usize::from(*at)]);
        iter::successors(place(*head), older).count()
    });
    lengths.max().unwrap_or_default()
}

#[test]
fn an_id_is_compared_with_few_others_however_many_there_are() {
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
fn a_window_that_grows_is_moved_and_indexed_seldom() {
    let mut window = window(MAX_WINDOW);
    let mut sizes = Vec::new();
    for id in 0..MAX_WINDOW {
        window.insert(&id.to_string());
        sizes.push((window.hashes.capacity(), window.heads.len()));
    }
    sizes.dedup();
    assert!(sizes.len() < 30, "{sizes:?}");
}
