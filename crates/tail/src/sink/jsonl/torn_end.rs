//! The end of the last complete page in a file, in which a killed program may have left a part of
//! one.
//!
//! Both functions read the file from its end, and as a rule no more than the last page. If there is
//! no page, they read all of the file. Content that this program can't have written is an error: it
//! is not cut off.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};

use flate2::bufread::GzDecoder;
use serde::de::IgnoredAny;
use serde_json::error::Category;

use super::encoding::HEADER;

/// The first bytes of each gzip file.
const GZIP: &[u8] = b"\x1f\x8b";

/// The number of bytes that are read at once.
const CHUNK: u64 = 64 * 1024;

const NOT_OURS: &str = "another program has written a part of it, or all: choose another file";

/// The end of the last complete page.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// The page ends here. The rest is incomplete.
    At(u64),
    /// The last line ends here, and lacks its line break.
    WithoutLineBreak(u64),
}

/// The texts in the lines of a file.
#[derive(Clone, Copy)]
pub(super) enum Lines {
    /// JSON objects.
    Json,
    /// The user has described them.
    Text,
}

/// Returns the end of the last complete line, or 0 if there is none. Content that is not a part of
/// such lines is an error.
pub(super) fn end_of_last_line(file: &File, lines: Lines) -> io::Result<End> {
    if read(file, 0, GZIP.len() as u64)? == GZIP {
        return Err(foreign("it is compressed: add --gzip, or choose another"));
    }
    let length = file.metadata()?.len();
    let complete = rfind(file, length, b"\n")?.map_or(0, |position| position + 1);
    if complete == length {
        return Ok(End::At(complete));
    }
    // A crash of the machine may leave zeros in the place of what was written last. Other zeros are
    // in binary files, and most of those have some near their start.
    let end = end_without_zeros(file, complete, length)?;
    if read(file, 0, CHUNK.min(end))?.contains(&0) {
        return Err(foreign(NOT_OURS));
    }
    match (last_object(file, complete, end)?, lines) {
        (Object::Complete, _) => Ok(End::WithoutLineBreak(end)),
        (Object::Torn, _) | (Object::None, Lines::Text) => Ok(End::At(complete)),
        (Object::None, Lines::Json) if end == complete => Ok(End::At(complete)),
        (Object::None, Lines::Json) => Err(foreign(NOT_OURS)),
    }
}

/// The JSON object in a part of a file.
enum Object {
    Complete,
    /// The beginning of an object.
    Torn,
    None,
}

/// Reads the JSON object in a part of a file.
fn last_object(mut file: &File, start: u64, end: u64) -> io::Result<Object> {
    if read(file, start, end.min(start + 1) - start)? != b"{" {
        return Ok(Object::None);
    }
    file.seek(SeekFrom::Start(start))?;
    let text = BufReader::new(file.take(end - start));
    match serde_json::from_reader::<_, IgnoredAny>(text) {
        Ok(_) => Ok(Object::Complete),
        Err(error) => match error.classify() {
            Category::Eof => Ok(Object::Torn),
            Category::Io => Err(error.into()),
            Category::Syntax | Category::Data => Ok(Object::None),
        },
    }
}

/// Returns the end of a part of a file, without the zeros at its end.
fn end_without_zeros(file: &File, start: u64, end: u64) -> io::Result<u64> {
    let mut end = end;
    while end > start {
        let begin = start.max(end.saturating_sub(CHUNK));
        let bytes = read(file, begin, end - begin)?;
        if let Some(position) = bytes.iter().rposition(|byte| *byte != 0) {
            return Ok(begin + position as u64 + 1);
        }
        end = begin;
    }
    Ok(start)
}

/// Returns the end of the last complete gzip member, or 0 if there is none. Content that is not a
/// part of such members is an error.
pub(super) fn end_of_last_member(file: &File) -> io::Result<u64> {
    let mut complete = 0;
    if is_part_of_a_page(file, 0)? {
        let mut before = file.metadata()?.len();
        while let Some(start) = rfind(file, before, HEADER)? {
            if let Some(end) = end_of_member(file, start)? {
                complete = end;
                break;
            }
            before = start;
        }
    }
    if is_part_of_a_page(file, complete)? {
        Ok(complete)
    } else {
        Err(foreign(NOT_OURS))
    }
}

/// Returns `true` if the bytes from here on begin like a page. A crash of the machine may leave
/// zeros in the place of its rest.
fn is_part_of_a_page(file: &File, start: u64) -> io::Result<bool> {
    let bytes = read(file, start, HEADER.len() as u64)?;
    let is_written = |(byte, expected): &(&u8, &u8)| byte == expected;
    let written = bytes.iter().zip(HEADER).take_while(is_written).count();
    Ok(bytes[written..].iter().all(|byte| *byte == 0))
}

/// Returns the end of the gzip member that begins here, or `None` if it is incomplete.
fn end_of_member(mut file: &File, start: u64) -> io::Result<Option<u64>> {
    file.seek(SeekFrom::Start(start))?;
    let mut member = GzDecoder::new(BufReader::new(file));
    match io::copy(&mut member, &mut io::sink()) {
        Ok(_) => member.into_inner().stream_position().map(Some),
        Err(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput => Ok(None),
            _ => Err(error),
        },
    }
}

/// Returns the last position before `before` at which the pattern begins.
fn rfind(file: &File, before: u64, pattern: &[u8]) -> io::Result<Option<u64>> {
    let mut end = before;
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        // A pattern that begins in this chunk may end in the one after it.
        let length = end - start + pattern.len() as u64 - 1;
        let bytes = read(file, start, length)?;
        let mut windows = bytes.windows(pattern.len());
        if let Some(position) = windows.rposition(|window| window == pattern) {
            return Ok(Some(start + position as u64));
        }
        end = start;
    }
    Ok(None)
}

/// Returns `length` bytes, or less at the end of the file.
fn read(mut file: &File, start: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn foreign(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
