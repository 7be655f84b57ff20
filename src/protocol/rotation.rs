//! The choice of the realtime server to poll next.
//!
//! The servers of a list take turns, each for its `max_retries` polls and its `ttl`. A host that
//! sent `Retry-After` is skipped until that time has passed, even if a newer list names it. This
//! module sends nothing: [`Rotation::pick`] returns the next server, or `None` if the servers have
//! to be listed again. The type to start from is [`Rotation`].

use std::time::Instant;

use super::RealtimeServer;

/// The number of hosts without a connection that are remembered: 16.
const UNREACHED: usize = 16;

/// The listed servers, each in turn, until they have to be listed again.
#[derive(Debug)]
pub(crate) struct Rotation {
    rng: fastrand::Rng,
    servers: Vec<RealtimeServer>,
    /// The index of the server to poll.
    current: usize,
    /// The number of servers that were given up since they were listed.
    given_up: usize,
    /// The number of polls of the current server.
    polls: u32,
    /// The time of the list, from which each `ttl` counts.
    listed_at: Instant,
    /// Hosts that sent `Retry-After`, with the end of that time. They outlive the list.
    blocked: Vec<(String, Instant)>,
    /// Hosts whose last connection failed, newest first. They outlive the list.
    unreached: Vec<String>,
}

impl Rotation {
    pub(crate) fn empty(rng: fastrand::Rng, now: Instant) -> Self {
        Self {
            rng,
            servers: Vec::new(),
            current: 0,
            given_up: 0,
            polls: 0,
            listed_at: now,
            blocked: Vec::new(),
            unreached: Vec::new(),
        }
    }

    /// Takes a new list, and starts at a random server, so that clients spread over the servers.
    pub(crate) fn replace(&mut self, servers: Vec<RealtimeServer>, now: Instant) {
        self.current = self.rng.usize(..servers.len().max(1));
        self.servers = servers;
        self.given_up = 0;
        self.polls = 0;
        self.listed_at = now;
    }

    /// Returns the server to poll now, and skips hosts that sent `Retry-After`. Returns `None` if
    /// the servers have to be listed again.
    pub(crate) fn pick(&mut self, now: Instant) -> Option<&RealtimeServer> {
        self.blocked.retain(|(_, until)| *until > now);
        while self.given_up < self.servers.len() {
            let server = &self.servers[self.current];
            if self.blocked.iter().any(|(host, _)| host == server.host()) {
                self.give_up_current();
                continue;
            }
            let age = now.saturating_duration_since(self.listed_at);
            let used_up = self.polls >= server.max_retries();
            let expired = server.ttl().is_some_and(|ttl| age >= ttl);
            return (!used_up && !expired).then(|| &self.servers[self.current]);
        }
        None
    }

    /// Returns when the first of the listed servers that sent `Retry-After` may be polled again.
    pub(crate) fn released_at(&self) -> Option<Instant> {
        let listed = |host: &str| self.servers.iter().any(|server| server.host() == host);
        self.blocked
            .iter()
            .filter(|(host, _)| listed(host))
            .map(|(_, until)| *until)
            .min()
    }

    /// Counts a poll of the current server.
    pub(crate) fn count_poll(&mut self) {
        self.polls = self.polls.saturating_add(1);
    }

    /// Moves on to the next server.
    pub(crate) fn give_up_current(&mut self) {
        self.given_up += 1;
        self.current = (self.current + 1) % self.servers.len().max(1);
        self.polls = 0;
    }

    /// Discards the list, so that the servers are listed again.
    pub(crate) fn discard(&mut self) {
        self.servers.clear();
    }

    /// Skips the current server's host until `until`, in later lists too.
    pub(crate) fn block_current(&mut self, until: Instant) {
        if let Some(server) = self.servers.get(self.current) {
            self.blocked.push((server.host().to_owned(), until));
        }
    }

    /// Returns `true` if the last connection to the host failed.
    pub(crate) fn is_unreached(&self, host: &str) -> bool {
        self.unreached.iter().any(|unreached| unreached == host)
    }

    /// Notes that the current server's host has a connection.
    pub(crate) fn reached(&mut self) {
        if let Some(server) = self.servers.get(self.current) {
            self.unreached.retain(|host| host != server.host());
        }
    }

    /// Notes that the current server's host could not be reached.
    pub(crate) fn not_reached(&mut self) {
        if let Some(server) = self.servers.get(self.current)
            && !self.is_unreached(server.host())
        {
            let host = server.host().to_owned();
            self.unreached.truncate(UNREACHED - 1);
            self.unreached.insert(0, host);
        }
    }
}
