//! The log of the last requests, which tests read to check what a client did.
//!
//! A record is made when a request arrives and amended when its outcome is known. Records hold no
//! secrets: an issued access token appears only by its number. The totals are in `counters`. Start
//! from [`RequestLog::push`].

use std::collections::VecDeque;

use serde::Serialize;

use crate::{Endpoint, Grant};

/// One request in the request log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestRecord {
    /// The number of the request, from 0.
    pub number: u64,
    /// The time in milliseconds since the emulator started.
    pub at_ms: u64,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The method, as it was sent.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The account that it concerns, if the caller is known.
    pub account: Option<String>,
    /// The `stream_type` of the query.
    pub stream_type: Option<String>,
    /// The `stream_position` of the query.
    pub stream_position: Option<String>,
    /// The `limit` of the query.
    pub limit: Option<String>,
    /// The grant of a token request, if the emulator knows it.
    pub grant: Option<Grant>,
    /// The `error` of a refused token request.
    pub refusal: Option<&'static str>,
    /// The number of the access token that a token request was granted, or that another request
    /// carried. Issued tokens are numbered from 0; made-up tokens have no number.
    pub token: Option<u64>,
    /// `true` if there was an `Authorization` header.
    pub authorization: bool,
    /// The `As-User` header.
    pub as_user: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// The name of the fault that it met.
    pub fault: Option<&'static str>,
    /// The outcome.
    pub outcome: Outcome,
    /// The number of events on the page.
    pub events: usize,
    /// The number of events on the page that the caller had not been sent before. On a page of
    /// `admin_logs` in chronological order, all events count.
    pub new_events: usize,
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Occurs while the request is held open.
    Held,
    /// Occurs when the client disconnected before the response.
    HungUp,
    /// Occurs when the emulator responded with this status.
    Responded(u16),
    /// Occurs when a realtime server responded with this signal.
    Signaled(String),
}

/// The last requests, up to a capacity.
#[derive(Debug)]
pub(crate) struct RequestLog {
    records: VecDeque<RequestRecord>,
    capacity: usize,
    next: u64,
}

impl RequestLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            records: VecDeque::new(),
            capacity,
            next: 0,
        }
    }

    /// Adds a record and returns the number that it gets. Drops the oldest records above the
    /// capacity.
    pub(crate) fn push(&mut self, record: RequestRecord) -> u64 {
        let number = self.next;
        self.next += 1;
        self.records.push_back(RequestRecord { number, ..record });
        while self.records.len() > self.capacity {
            self.records.pop_front();
        }
        number
    }

    /// Changes the record with this number, if the log still holds it.
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
