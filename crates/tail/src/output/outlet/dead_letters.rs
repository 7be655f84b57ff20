//! The file for dead letters: the events that a sink refuses, one on each line.
//!
//! A line is a JSON object with the time, the error and the event. The file is opened for each of
//! them, so another program may move it away at any moment.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use box_longpoll::Event;
use jiff::Timestamp;
use metrics::counter;
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::output::Format;
use crate::report::{print_line, with_causes};
use crate::sink::{Failure, SinkError};
use crate::web::DEAD_LETTERS;

/// Creates the file, if it does not exist.
pub(super) fn create(file: &Path) -> Result<(), SinkError> {
    open(file).map(drop).map_err(|error| failed(file, error))
}

/// Adds an event, and reports that. When this returns, the event is on the disk.
pub(super) async fn add(file: &Path, event: &Event, refusal: &SinkError) -> Result<(), SinkError> {
    let line = line(event, refusal);
    let path = file.to_owned();
    let added = spawn_blocking(move || append(&path, &line)).await;
    let added = added.map_err(io::Error::other).flatten();
    added.map_err(|error| failed(file, error))?;
    counter!(DEAD_LETTERS).increment(1);
    // The id is a text of the server, which may contain any characters.
    let id = event.id().unwrap_or("without an id").escape_debug();
    let (file, refusal) = (file.display(), with_causes(refusal));
    print_line(&format!("the event {id} went to {file}: {refusal}"));
    Ok(())
}

fn line(event: &Event, refusal: &SinkError) -> String {
    let time = Timestamp::now();
    let error = Value::from(with_causes(refusal));
    let event = Format::Json.line(event);
    format!(r#"{{"time":"{time:.3}","error":{error},"event":{event}}}"#)
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = open(path)?;
    // A full disk or a lost machine may have left a part of a line.
    let start = if ends_inside_a_line(&mut file)? {
        "\n"
    } else {
        ""
    };
    file.write_all(format!("{start}{line}\n").as_bytes())?;
    file.sync_all()
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).open(path)
}

fn ends_inside_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn failed(file: &Path, error: io::Error) -> SinkError {
    let text = format!("the file for dead letters {}", file.display());
    SinkError::new(Failure::Unavailable, 0, text).because(error)
}
