//! [`JsonCursor`]: a position in JSON text that moves from value to value.
//!
//! Accessors of an event read a few fields of a text that may have hundreds. The text was validated
//! when the page arrived, so the cursor only has to find the ends of values. It skips a value
//! without recursion, so deep nesting cannot overflow the stack. If the text is not valid, the
//! cursor still terminates, but may find fewer members.

use std::borrow::Cow;

use bytes::Bytes;

/// Returns the text of a buffer that holds JSON. Parsing has already checked that it is UTF-8.
pub(super) fn as_str(buffer: &[u8]) -> &str {
    std::str::from_utf8(buffer).unwrap_or_default()
}

/// A position in JSON text, at the first byte of a value.
#[derive(Clone, Copy)]
pub(super) struct JsonCursor<'a> {
    buffer: &'a Bytes,
    text: &'a str,
    /// The distance from the beginning of the text, in bytes.
    at: usize,
}

impl<'a> JsonCursor<'a> {
    /// Creates a cursor at the beginning of the value that fills `buffer`. `text` is the same as
    /// `buffer`.
    pub(super) fn over(buffer: &'a Bytes, text: &'a str) -> Self {
        Self {
            buffer,
            text,
            at: 0,
        }
    }

    /// Returns the first byte of the value here, or 0 at the end of the text.
    pub(super) fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// Calls `each` with the name of every member of an object. `each` must move the cursor past
    /// the member's value. If the value here is not an object, it is skipped, and this returns
    /// `None`.
    pub(super) fn members(&mut self, mut each: impl FnMut(&str, &mut Self)) -> Option<()> {
        if self.peek() != b'{' {
            self.skip();
            return None;
        }
        self.at += 1;
        while let Some(name) = self.member_name() {
            each(&name, self);
        }
        self.at += 1;
        Some(())
    }

    /// Moves to the value of the next member, and returns its name, or `None` at the end of the
    /// object.
    fn member_name(&mut self) -> Option<Cow<'a, str>> {
        if self.next_token() == b',' {
            self.at += 1;
            self.next_token();
        }
        if self.peek() != b'"' {
            return None;
        }
        let name = self.string().unwrap_or_default();
        if self.next_token() == b':' {
            self.at += 1;
        }
        self.next_token();
        Some(name)
    }

    /// Calls `each` for every item of an array. `each` must move the cursor past its item. If the
    /// value here is not an array, it is skipped, and this returns `None`.
    pub(super) fn items(&mut self, mut each: impl FnMut(&mut Self)) -> Option<()> {
        if self.peek() != b'[' {
            self.skip();
            return None;
        }
        self.at += 1;
        loop {
            match self.next_token() {
                b']' | 0 => break,
                b',' => self.at += 1,
                _ => each(self),
            }
        }
        self.at += 1;
        Some(())
    }

    /// Returns a cursor at the member of that name, if the value here is an object that has it. If
    /// the name occurs more than once, the last member counts.
    pub(super) fn member(mut self, wanted: &str) -> Option<Self> {
        let mut found = None;
        self.members(|name, value| {
            if name == wanted {
                found = Some(*value);
            }
            value.skip();
        });
        found
    }

    /// Returns a cursor at the first member, if the value here is an object whose first member has
    /// that name.
    pub(super) fn first_member(mut self, wanted: &str) -> Option<Self> {
        if self.peek() != b'{' {
            return None;
        }
        self.at += 1;
        (self.member_name()? == wanted).then_some(self)
    }

    /// Moves past a value.
    pub(super) fn skip(&mut self) {
        match self.peek() {
            b'"' => self.at = end_of_string(self.text.as_bytes(), self.at).at,
            b'{' | b'[' => self.at = end_of_nested(self.text.as_bytes(), self.at),
            _ => self.skip_word(),
        }
    }

    /// Moves past a value, and returns its text.
    pub(super) fn value(&mut self) -> &'a str {
        let start = self.at;
        self.skip();
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Moves past a value, and returns its text as a slice of the buffer, without a copy.
    pub(super) fn raw(&mut self) -> Bytes {
        let text = self.value();
        self.buffer.slice_ref(text.as_bytes())
    }

    /// Moves past a value. Returns its decoded text if it is a string, and `None` otherwise.
    pub(super) fn string(&mut self) -> Option<Cow<'a, str>> {
        if self.peek() != b'"' {
            self.skip();
            return None;
        }
        let start = self.at;
        let end = end_of_string(self.text.as_bytes(), start);
        self.at = end.at;
        let quoted = self.text.get(start..end.at)?;
        if end.escaped {
            // If the target is bytes, serde_json accepts an escaped unpaired surrogate. A Rust
            // string cannot hold it, so it becomes a replacement character.
            let text: Bytes = serde_json::from_str(quoted).ok()?;
            Some(Cow::Owned(String::from_utf8_lossy(&text).into_owned()))
        } else {
            Some(Cow::Borrowed(quoted.strip_prefix('"')?.strip_suffix('"')?))
        }
    }

    /// Returns the distance from the beginning of the text, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Moves past white space, and returns the next byte.
    fn next_token(&mut self) -> u8 {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
        self.peek()
    }

    /// Moves past a number, `true`, `false` or `null`.
    fn skip_word(&mut self) {
        self.at += 1;
        while !matches!(
            self.peek(),
            b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' | 0
        ) {
            self.at += 1;
        }
    }
}

/// The end of a string.
struct End {
    /// The distance of the byte after the closing quote from the beginning of the text, in bytes.
    at: usize,
    /// `true` if the string contains escapes.
    escaped: bool,
}

/// Returns the end of the string that begins at `start`.
#[inline]
fn end_of_string(text: &[u8], start: usize) -> End {
    let mut escaped = false;
    let mut from = start + 1;
    while let Some(found) = quote_or_backslash(text, from) {
        if text[found] == b'"' {
            let at = found + 1;
            return End { at, escaped };
        }
        escaped = true;
        from = found + 2;
    }
    let at = text.len();
    End { at, escaped }
}

/// Returns the index of the first quote or backslash at or after `from`.
///
/// This compares eight bytes at a time within a register (SWAR). The strings of events are short,
/// so this is faster than a call of a general search function.
#[inline]
fn quote_or_backslash(text: &[u8], from: usize) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let (words, rest) = text.get(from..)?.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = zero_byte(word ^ (ONES * u64::from(b'"')));
        let found = quote | zero_byte(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(from + index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(text.len() - rest.len() + found)
}

/// Returns the end of the object or array that begins at `start`. It counts brackets instead of
/// recursing, so deep nesting needs no stack.
fn end_of_nested(text: &[u8], start: usize) -> usize {
    let mut levels = 0_usize;
    let mut at = start;
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(text, at - 1).at,
            b'{' | b'[' => levels += 1,
            b'}' | b']' => {
                levels -= 1;
                if levels == 0 {
                    break;
                }
            }
            _ => {}
        }
    }
    at
}
