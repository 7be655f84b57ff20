use std::collections::VecDeque;

use serde::Serialize;

use crate::{Endpoint, Grant};

/// One request, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestRecord {
    /// Counts from 0.
    pub number: u64,
    /// Milliseconds since the emulator began.
    pub at_ms: u64,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The method, as it was sent.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The account it concerns, where the caller is known.
    pub account: Option<String>,
    /// The `stream_type` of the query.
    pub stream_type: Option<String>,
    /// The `stream_position` of the query.
    pub stream_position: Option<String>,
    /// The `limit` of the query.
    pub limit: Option<String>,
    /// The grant that a token request asked for, where it is one the emulator knows.
    pub grant: Option<Grant>,
    /// The `error` that a token request was refused with.
    pub refusal: Option<&'static str>,
    /// The number of the access token that a token request was granted, or that came with any other. Tokens that were
    /// issued are counted from 0; others have no number.
    pub token: Option<u64>,
    /// Whether there was an `Authorization` header.
    pub authorization: bool,
    /// The `As-User` header.
    pub as_user: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// The fault it met.
    pub fault: Option<&'static str>,
    /// What came of it.
    pub outcome: Outcome,
    /// The events of the page.
    pub events: usize,
    /// Those of them that the caller had not been sent before.
    pub new_events: usize,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Occurs while the request is held open.
    Held,
    /// Occurs when the client went away before the answer.
    HungUp,
    /// Occurs when the answer was given, with this status.
    Answered(u16),
    /// Occurs when a realtime server answered, with this signal.
    Signalled(String),
}

/// The last requests.
#[derive(Debug)]
pub(crate) struct Journal {
    records: VecDeque<RequestRecord>,
    capacity: usize,
    next: u64,
}

impl Journal {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            records: VecDeque::new(),
            capacity,
            next: 0,
        }
    }

    /// Keeps a record, under the number that is returned.
    pub(crate) fn push(&mut self, record: RequestRecord) -> u64 {
        let number = self.next;
        self.next += 1;
        self.records.push_back(RequestRecord { number, ..record });
        while self.records.len() > self.capacity {
            self.records.pop_front();
        }
        number
    }

    /// Changes a record, if it is still there.
    pub(crate) fn amend(&mut self, number: u64, change: impl FnOnce(&mut RequestRecord)) {
        let first = self.next - self.records.len() as u64;
        let index = number
            .checked_sub(first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(record) = index.and_then(|index| self.records.get_mut(index)) {
            change(record);
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &RequestRecord> {
        self.records.iter()
    }
}
