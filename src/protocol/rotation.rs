//! Which realtime server is polled next.

use std::time::Instant;

use super::RealtimeServer;

/// The listed servers, each in turn, until they are to be listed anew.
#[derive(Debug)]
pub(crate) struct Rotation {
    servers: Vec<RealtimeServer>,
    current: usize,
    /// How many of the servers were given up since they were listed.
    given_up: usize,
    /// How often the current one was polled.
    polls: u32,
    listed_at: Instant,
    /// Hosts that asked to be left alone, with the end of it. Outlives the list.
    blocked: Vec<(String, Instant)>,
}

impl Rotation {
    pub(crate) fn empty(now: Instant) -> Self {
        Self {
            servers: Vec::new(),
            current: 0,
            given_up: 0,
            polls: 0,
            listed_at: now,
            blocked: Vec::new(),
        }
    }

    /// Takes a new list, and starts at one of its servers by chance, so that clients spread over them.
    pub(crate) fn replace(
        &mut self,
        servers: Vec<RealtimeServer>,
        rng: &mut fastrand::Rng,
        now: Instant,
    ) {
        self.current = rng.usize(..servers.len().max(1));
        self.servers = servers;
        self.given_up = 0;
        self.polls = 0;
        self.listed_at = now;
    }

    /// The server to poll now, past those that asked to be left alone. `None`: list them anew.
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

    /// When the first of the listed servers that asked to be left alone may be asked again.
    pub(crate) fn released_at(&self) -> Option<Instant> {
        let listed = |host: &str| self.servers.iter().any(|server| server.host() == host);
        self.blocked
            .iter()
            .filter(|(host, _)| listed(host))
            .map(|(_, until)| *until)
            .min()
    }

    /// The host of the server that is polled, or was last.
    pub(crate) fn current_host(&self) -> Option<&str> {
        self.servers.get(self.current).map(RealtimeServer::host)
    }

    pub(crate) fn count_poll(&mut self) {
        self.polls = self.polls.saturating_add(1);
    }

    /// Goes on to the next server.
    pub(crate) fn give_up_current(&mut self) {
        self.given_up += 1;
        self.current = (self.current + 1) % self.servers.len().max(1);
        self.polls = 0;
    }

    /// Has the servers listed anew.
    pub(crate) fn discard(&mut self) {
        self.servers.clear();
    }

    /// Leaves the current server's host alone until then, whatever list names it.
    pub(crate) fn block_current(&mut self, until: Instant) {
        if let Some(server) = self.servers.get(self.current) {
            self.blocked.push((server.host().to_owned(), until));
        }
    }
}
