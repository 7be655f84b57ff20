//! Walking over JSON text that was found to be valid when it came: all that is left to find out is where things end.
//!
//! Values that nobody asks for are skipped without recursion, however deep they are nested. Over text that is not valid
//! the cursor comes to an end as well, with less.

use std::borrow::Cow;

use bytes::Bytes;

/// The text of a buffer that holds JSON, which was checked to be UTF-8 when it was parsed the first time.
pub(super) fn as_str(buffer: &[u8]) -> &str {
    std::str::from_utf8(buffer).unwrap_or_default()
}

/// A place in JSON text.
#[derive(Clone, Copy)]
pub(super) struct JsonCursor<'a> {
    buffer: &'a Bytes,
    text: &'a str,
    at: usize,
}

impl<'a> JsonCursor<'a> {
    /// At the beginning of the value that fills `buffer`, whose text is `text`.
    pub(super) fn over(buffer: &'a Bytes, text: &'a str) -> Self {
        Self {
            buffer,
            text,
            at: 0,
        }
    }

    /// The first byte of the value here; 0 where the text is over.
    pub(super) fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// Goes through the members of an object. `each` gets a member's name and has to go past its value. A value that is
    /// no object is skipped: `None`.
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

    /// Goes to the next member's value, and gives its name. `None` at the object's end.
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

    /// Goes through the items of an array. `each` has to go past its item. A value that is no array is skipped: `None`.
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

    /// Goes to the member of that name, if the value here is an object that has it. Of several, the last one counts.
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

    /// Goes to the first member, if the value here is an object that begins with that name.
    pub(super) fn first_member(mut self, wanted: &str) -> Option<Self> {
        if self.peek() != b'{' {
            return None;
        }
        self.at += 1;
        (self.member_name()? == wanted).then_some(self)
    }

    /// Goes past a value.
    pub(super) fn skip(&mut self) {
        match self.peek() {
            b'"' => self.at = end_of_string(self.text.as_bytes(), self.at).at,
            b'{' | b'[' => self.at = end_of_nested(self.text.as_bytes(), self.at),
            _ => self.skip_word(),
        }
    }

    /// Goes past a value, and gives its text.
    pub(super) fn value(&mut self) -> &'a str {
        let start = self.at;
        self.skip();
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Goes past a value, and gives its text, in the buffer's memory.
    pub(super) fn raw(&mut self) -> Bytes {
        let text = self.value();
        self.buffer.slice_ref(text.as_bytes())
    }

    /// Goes past a string, and gives its text. Goes past any other value too: `None`.
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
            // As bytes, serde_json lets an escaped half of a surrogate pair through. No Rust string can hold it.
            let text: Bytes = serde_json::from_str(quoted).ok()?;
            Some(Cow::Owned(String::from_utf8_lossy(&text).into_owned()))
        } else {
            Some(Cow::Borrowed(quoted.strip_prefix('"')?.strip_suffix('"')?))
        }
    }

    /// How far from the beginning this is, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes past white space, and gives what comes then.
    fn next_token(&mut self) -> u8 {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
        self.peek()
    }

    /// A number, `true`, `false` or `null`.
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

struct End {
    at: usize,
    /// Whether there are escapes before it.
    escaped: bool,
}

/// Where the string that begins at `start` is over.
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

/// Where the first of the two is, from there on. Strings are short: eight bytes at a time in a register beat a call.
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

/// Where the object or array that begins at `start` is over.
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
