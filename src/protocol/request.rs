//! The three requests: `OPTIONS /events`, `GET /events`, and a long poll.
//!
//! [`Config`] builds them from the settings. Each request carries its timeout and the largest body
//! that is accepted. The token goes to the API alone, unless the caller chose otherwise. This
//! module sends nothing. Start from [`Config::page_request`].

use std::ops::Range;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderName, Method, Request};
use url::form_urlencoded;

use super::RealtimeServer;
use crate::auth::AccessToken;
use crate::config::{Config, RealtimeToken};
use crate::position::StartAt;
use crate::transport::TransportRequest;

const AS_USER: HeaderName = HeaderName::from_static("as-user");

/// The largest list of servers that is accepted: 256 KiB. A usual one has a few hundred bytes.
const MAX_SERVER_LIST: usize = 256 * 1024;
/// The largest page that is accepted: 16 MiB. A page of 500 events of the largest usual kind has
/// about 2 MiB.
const MAX_PAGE: usize = 16 * 1024 * 1024;
/// The largest signal that is accepted: 64 KiB. A usual one has about 30 bytes.
const MAX_SIGNAL: usize = 64 * 1024;

/// The time beyond its `retry_timeout` that a server's response may take: 5 s. The server starts to
/// count later than the client.
const HOLD_GRACE: Duration = Duration::from_secs(5);

/// The longest timeout of a list: 10 s. A list that is swallowed keeps the stream from fetching for
/// this long, and a usual one has a few hundred bytes.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

impl Config {
    /// Builds the request that lists the servers, `OPTIONS /events`. With the stream type, the
    /// servers signal changes of that type only.
    pub(crate) fn list_request(&self, token: &AccessToken, with_type: bool) -> TransportRequest {
        let mut url = self.events_url();
        if with_type {
            url += "?stream_type=";
            url += self.stream_kind.name();
        }
        let timeout = self.api_timeout.min(LIST_TIMEOUT);
        self.api_request(Method::OPTIONS, &url, token, MAX_SERVER_LIST, timeout)
    }

    /// Builds the request for a page, `GET /events`. The times are the start of the stream, and
    /// now.
    pub(crate) fn page_request(
        &self,
        from: &StartAt,
        limit: u32,
        token: &AccessToken,
        times: Range<SystemTime>,
    ) -> TransportRequest {
        let url = self.events_url() + "?";
        let query_at = url.len();
        let mut query = form_urlencoded::Serializer::for_suffix(url, query_at);
        query
            .append_pair("stream_type", self.stream_kind.name())
            .append_pair("stream_position", from.as_parameter())
            .append_pair("limit", &limit.to_string());
        self.stream_kind.append_filters(&mut query, times);
        let url = query.finish();
        self.api_request(Method::GET, &url, token, MAX_PAGE, self.api_timeout)
    }

    fn events_url(&self) -> String {
        format!("{}/2.0/events", self.api_origin)
    }

    /// Returns the longest time that a poll of this server is held.
    pub(crate) fn hold(&self, server: &RealtimeServer) -> Duration {
        (server.retry_timeout() + HOLD_GRACE).min(self.max_hold)
    }

    /// Builds a poll, `GET` of a realtime server. The token is sent along only if the caller chose
    /// so.
    pub(crate) fn poll_request(
        &self,
        server: &RealtimeServer,
        from: &StartAt,
        token: Option<&AccessToken>,
        hold: Duration,
    ) -> TransportRequest {
        let mut url = server.url.clone();
        url.query_pairs_mut()
            .append_pair("stream_position", from.as_parameter());
        let request = self.request(Method::GET, url.as_str(), token);
        TransportRequest::new(request, hold, MAX_SIGNAL)
    }

    /// Returns `true` if a poll needs a token.
    pub(crate) fn polls_with_token(&self) -> bool {
        self.realtime_token == RealtimeToken::Send
    }

    fn api_request(
        &self,
        method: Method,
        url: &str,
        token: &AccessToken,
        max_body: usize,
        timeout: Duration,
    ) -> TransportRequest {
        let mut request = self.request(method, url, Some(token));
        if let Some(user) = &self.as_user {
            request.headers_mut().insert(AS_USER, user.clone());
        }
        TransportRequest::new(request, timeout, max_body)
    }

    fn request(&self, method: Method, url: &str, token: Option<&AccessToken>) -> Request<Bytes> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = url
            .parse()
            .expect("the API origin and the realtime URL were checked");
        // The HTTP library adds two headers. A poll is held together with its headers, so the map
        // should have no spare room.
        let headers = request.headers_mut();
        headers.reserve(if token.is_some() { 5 } else { 3 });
        headers.insert(USER_AGENT, self.user_agent.clone());
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token.header().clone());
        }
        request
    }
}
