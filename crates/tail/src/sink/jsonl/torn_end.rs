//! The end of the last complete page in a file, in which a killed program may have left a part of
//! one.
//!
//! Both functions read the file from its end, and as a rule no more than the last page. If there is
//! no page, they read all of the file.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};

use flate2::bufread::GzDecoder;

use super::encoding::HEADER;

/// The first bytes of each gzip file.
const GZIP: &[u8] = b"\x1f\x8b";

/// The number of bytes that are read at once.
const CHUNK: u64 = 64 * 1024;

/// Returns the end of the last complete line, or 0 if there is none. A compressed file is an error.
pub(super) fn end_of_last_line(file: &File) -> io::Result<u64> {
    if read(file, 0, GZIP.len())? == GZIP {
        return Err(foreign("it is compressed: add --gzip, or choose another"));
    }
    let length = file.metadata()?.len();
    let last = rfind(file, length, b"\n")?;
    Ok(last.map_or(0, |position| position + 1))
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
        Err(foreign(
            "another program has written a part of it, or all: choose another file",
        ))
    }
}

/// Returns `true` if the bytes from here on begin like a page. A crash of the machine may leave
/// zeros in the place of its rest.
fn is_part_of_a_page(file: &File, start: u64) -> io::Result<bool> {
    let bytes = read(file, start, HEADER.len())?;
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
        let length = usize::try_from(end - start).unwrap_or(usize::MAX) + pattern.len() - 1;
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
fn read(mut file: &File, start: u64, length: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::with_capacity(length);
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn foreign(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
