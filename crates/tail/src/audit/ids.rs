//! [`Ids`]: the ids of the events in files, read line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::vec;

use flate2::bufread::MultiGzDecoder;
use serde_json::Value;

use crate::report;

/// The first bytes of a file that is compressed with gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The places of an event's id: in Box's own JSON, in the formats `ecs` and `ocsf`, in a dead
/// letter, and in a webhook's body.
const PLACES: [&str; 5] = [
    "/event_id",
    "/event/id",
    "/metadata/uid",
    "/event/event_id",
    "/data/event_id",
];

/// The ids of the events in files. It reads a file when the ids before are taken.
pub(super) struct Ids {
    files: vec::IntoIter<String>,
    open: Option<(String, Box<dyn BufRead>)>,
    line: Vec<u8>,
    found: u64,
    /// The number of lines without an id.
    without: u64,
    failure: Option<String>,
}

impl Ids {
    /// Prepares to read these files. `-` is standard input.
    pub(super) fn of(files: Vec<String>) -> Self {
        Self {
            files: files.into_iter(),
            open: None,
            line: Vec::new(),
            found: 0,
            without: 0,
            failure: None,
        }
    }

    /// Returns a sentence about the ids, after the last of them.
    ///
    /// # Errors
    ///
    /// A file could not be read to its end.
    pub(super) fn end(self) -> Result<String, String> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let without = match self.without {
            0 => String::new(),
            lines => format!("; lines without an id: {lines}"),
        };
        Ok(format!("the copy has {} ids{without}", self.found))
    }

    /// Reads the next line that has an id, of any of the files.
    fn read(&mut self) -> Result<Option<String>, String> {
        loop {
            let Some((name, file)) = &mut self.open else {
                let Some(name) = self.files.next() else {
                    return Ok(None);
                };
                let file = open(&name).map_err(|error| format!("{name}: {error}"))?;
                self.open = Some((name, file));
                continue;
            };
            self.line.clear();
            let is_cut = match file.read_until(b'\n', &mut self.line) {
                Ok(0) => {
                    self.open = None;
                    continue;
                }
                Ok(_) => false,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => true,
                Err(error) => return Err(format!("{name}: {error}")),
            };
            if is_cut {
                report::print_line(&format!(
                    "{name}: the compressed data is cut off: the events up to there count"
                ));
                self.open = None;
            }
            let line = self.line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            match id(line) {
                Some(id) => {
                    self.found += 1;
                    return Ok(Some(id));
                }
                None => self.without += 1,
            }
        }
    }
}

impl Iterator for Ids {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.failure.is_some() {
            return None;
        }
        match self.read() {
            Ok(id) => id,
            Err(failure) => {
                self.failure = Some(failure);
                None
            }
        }
    }
}

/// Opens a file, or standard input, and decompresses it if it is compressed.
fn open(name: &str) -> io::Result<Box<dyn BufRead>> {
    let file: Box<dyn Read> = match name {
        "-" => Box::new(io::stdin()),
        _ => Box::new(File::open(name)?),
    };
    let mut file = BufReader::new(file);
    Ok(if file.fill_buf()?.starts_with(&GZIP) {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

/// Returns the id in a line: that of a JSON event, or the line itself.
fn id(line: &[u8]) -> Option<String> {
    if !line.starts_with(b"{") {
        let id = std::str::from_utf8(line).ok()?;
        return Some(id.trim_matches('"').to_owned());
    }
    let event: Value = serde_json::from_slice(line).ok()?;
    let mut ids = PLACES
        .iter()
        .filter_map(|place| event.pointer(place)?.as_str());
    ids.next().map(str::to_owned)
}
