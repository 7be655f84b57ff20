//! Assertions whose messages contain the expected value, the actual value and the situation.
//!
//! `assert_eq!` says "left" and "right", which the author of a transport can't interpret. Start
//! from `expect_eq!`.

use std::fmt::Debug;

/// The greatest number of characters of a value that a message shows.
const MAX_SHOWN: usize = 300;

/// Panics unless the first value, the actual one, equals the second, the expected one. A format
/// string that describes the situation may follow.
macro_rules! expect_eq {
    ($got:expr, $expected:expr $(,)?) => {
        expect_eq!($got, $expected, "")
    };
    ($got:expr, $expected:expr, $($situation:tt)+) => {
        match (&$got, &$expected) {
            (got, expected) => {
                if *got != *expected {
                    $crate::conformance::expect::differs(
                        &format!("{expected:?}"),
                        got,
                        &format!($($situation)+),
                    );
                }
            }
        }
    };
}

pub(super) use expect_eq;

/// Panics with a message that contains the expected and the actual value.
#[track_caller]
pub(super) fn differs(expected: &str, got: &(impl Debug + ?Sized), situation: &str) -> ! {
    let situation = if situation.is_empty() {
        String::new()
    } else {
        format!("\nsituation: {situation}")
    };
    panic!(
        "expected: {}\ngot: {}{situation}",
        shortened(expected),
        shortened(&format!("{got:?}"))
    );
}

/// Panics unless the value is one of the expected ones.
#[track_caller]
pub(super) fn expect_one_of<T: Debug + PartialEq>(got: &T, expected: &[T], situation: &str) {
    if !expected.contains(got) {
        let expected: Vec<_> = expected.iter().map(|value| format!("{value:?}")).collect();
        differs(&expected.join(" or "), got, situation);
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{} and so on, {} bytes", &text[..end], text.len()),
        None => text.into(),
    }
}
