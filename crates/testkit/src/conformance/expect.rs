//! How a case says what it expected and what it got instead.

use std::fmt::Debug;

/// How many characters of a value a message shows.
const MAX_SHOWN: usize = 300;

/// Panics unless the first value equals the second, which is the expected one. What follows is a format string that says in
/// which situation.
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

/// Panics: something else came than was expected.
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

/// Panics unless the value is among the expected ones.
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
