//! [`Change`]: a random change of a seed, which leaves most of it unchanged.
//!
//! A parser accepts most of a changed seed, so the change reaches code that random bytes would not
//! reach. [`changed`] applies a change.

use proptest::arbitrary::Arbitrary;
use proptest::prelude::{any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::strategy::{BoxedStrategy, Strategy};
use serde_json::Value;

/// A change of a text. Each [`Index`] is a place in it.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// One of the values in the JSON is replaced.
    Value(Index, String),
    /// A text is inserted.
    Insert(Index, String),
    /// A byte is replaced.
    Byte(Index, u8),
    /// A piece is repeated, so that it occurs this number of times.
    Repeat(Index, Index, usize),
    /// The text is truncated.
    Cut(Index),
}

impl Arbitrary for Change {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let place = any::<Index>;
        prop_oneof![
            6 => (place(), select(values())).prop_map(|(at, value)| Self::Value(at, value)),
            3 => (place(), select(pieces())).prop_map(|(at, piece)| Self::Insert(at, piece)),
            2 => (place(), any::<u8>()).prop_map(|(at, byte)| Self::Byte(at, byte)),
            1 => (place(), place(), 2..50_usize).prop_map(|(a, b, n)| Self::Repeat(a, b, n)),
            1 => place().prop_map(Self::Cut),
        ]
        .boxed()
    }
}

/// Returns JSON values that a parser may read wrongly.
fn values() -> Vec<String> {
    let odd = r#"null true 0 -0 0.0 -7 7 1.5 1e999 1e-7 1152922976252290887 99999999999999999999999 "" "0" "now" "oldest" "7"
        "1152922976252290887" "1e999" " 7 " "{url}" "{token}" "http://user:pw@2.realtime.services.box.net/s?c" "a\u0000b"
        "\u001b[2J\u202e" "\ud800" [] {} [null] [{}] {"":""} {"type":"file","id":7} "2015-10-21T07:28:00-07:00""#;
    let mut values: Vec<String> = odd.split_ascii_whitespace().map(str::to_owned).collect();
    values.push(format!("\"{}\"", "\\u0007".repeat(300)));
    values.push(format!("\"Bearer {{token}} {}\"", "\u{1f4e6}".repeat(300)));
    values.push(format!("{}{}", "[".repeat(300), "]".repeat(300)));
    values.push(format!("{}1{}", "{\"a\":".repeat(300), "}".repeat(300)));
    values
}

/// Returns texts to insert: the values, and separators of HTTP and JSON.
fn pieces() -> Vec<String> {
    let mut pieces = values();
    for piece in [
        "\n\n",
        "\r\n",
        "\u{1b}[31m",
        "\u{9b}",
        "\"",
        "\\",
        "?",
        "@",
        "#",
        "{token}",
        "{url}",
        "200\n\n",
        "401\n\n",
        "\"entries\":",
    ] {
        pieces.push(piece.to_owned());
    }
    pieces
}

/// The maximum length of a repeated piece, in bytes. It is over the size limits of a signal and of
/// a list. It also keeps the test fast when repeated pieces are repeated again.
const LONGEST_REPETITION: usize = 512 * 1024;

/// Returns the text after the change.
pub(crate) fn changed(mut text: Vec<u8>, change: &Change) -> Vec<u8> {
    if text.is_empty() {
        return text;
    }
    match change {
        Change::Value(at, value) => return replaced(&text, *at, value).unwrap_or(text),
        Change::Insert(at, piece) => {
            let at = at.index(text.len());
            text.splice(at..at, piece.bytes());
        }
        Change::Byte(at, byte) => {
            let at = at.index(text.len());
            text[at] = *byte;
        }
        Change::Repeat(a, b, times) => {
            let (a, b) = (a.index(text.len()), b.index(text.len()));
            let piece = &text[a.min(b)..a.max(b)];
            let fitting = LONGEST_REPETITION / piece.len().max(1);
            let pieces = piece.repeat(fitting.min(*times).max(1));
            text.splice(a.min(b)..a.max(b), pieces);
        }
        Change::Cut(at) => text.truncate(at.index(text.len())),
    }
    text
}

/// Returns the text with one of the values in its JSON replaced, or `None` if it has no JSON.
fn replaced(text: &[u8], at: Index, value: &str) -> Option<Vec<u8>> {
    // The value is inserted as text, because a `Value` cannot hold every number.
    const PLACE: &str = "the place of the value";
    let start = text.iter().position(|byte| matches!(byte, b'{' | b'['))?;
    let mut json: Value = serde_json::from_slice(&text[start..]).ok()?;
    let mut places = at.index(count(&json));
    *find(&mut json, &mut places)? = PLACE.into();
    let json = json.to_string().replacen(&format!("\"{PLACE}\""), value, 1);
    Some([&text[..start], json.as_bytes()].concat())
}

/// Returns the number of values, nested ones included.
fn count(json: &Value) -> usize {
    1 + match json {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Returns the value with this index, in the order of [`count`].
fn find<'a>(json: &'a mut Value, index: &mut usize) -> Option<&'a mut Value> {
    if *index == 0 {
        return Some(json);
    }
    *index -= 1;
    match json {
        Value::Array(items) => items.iter_mut().find_map(|item| find(item, index)),
        Value::Object(members) => members.values_mut().find_map(|member| find(member, index)),
        _ => None,
    }
}
