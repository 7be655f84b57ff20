//! The three requests.

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

/// A list of servers has a few hundred bytes.
const MAX_SERVER_LIST: usize = 256 * 1024;
/// 500 events of the largest usual kind have about 2 MiB.
const MAX_PAGE: usize = 16 * 1024 * 1024;
/// A signal has some 30 bytes.
const MAX_SIGNAL: usize = 64 * 1024;

/// How much later than its `retry_timeout` a server's response may come: the server's clock started later than ours.
const HOLD_GRACE: Duration = Duration::from_secs(5);

/// A list that is swallowed keeps the stream from fetching for no longer than this. It has a few hundred bytes.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

impl Config {
    /// `OPTIONS /events`. With the stream type the servers tell of nothing else.
    pub(crate) fn list_request(&self, token: &AccessToken, with_type: bool) -> TransportRequest {
        let mut url = self.events_url();
        if with_type {
            url += "?stream_type=";
            url += self.stream_kind.name();
        }
        let timeout = self.api_timeout.min(LIST_TIMEOUT);
        self.api_request(Method::OPTIONS, &url, token, MAX_SERVER_LIST, timeout)
    }

    /// `GET /events`. The times are those at which its stream began, and now.
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

    /// How long a poll at this server is held at most.
    pub(crate) fn hold(&self, server: &RealtimeServer) -> Duration {
        (server.retry_timeout() + HOLD_GRACE).min(self.max_hold)
    }

    /// `GET` to a realtime server. The token goes along only where the caller chose so.
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
        // Two more are the HTTP library's. A poll is held with its headers, and should have no room to spare.
        let headers = request.headers_mut();
        headers.reserve(if token.is_some() { 5 } else { 3 });
        headers.insert(USER_AGENT, self.user_agent.clone());
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token.header().clone());
        }
        request
    }
}
