//! Requests to the emulator, and the endpoints that they are for.
//!
//! A simulation makes requests with this type, and the server parses them from the wire. It sends
//! nothing. Start from [`Request`].

use std::borrow::Cow;

/// An HTTP request as the emulator sees it.
///
/// ```
/// use box_longpoll_testkit::Request;
///
/// let request = Request::get("/2.0/events?stream_position=now").header("Authorization", "Bearer a-token");
/// assert_eq!(request.query("stream_position").as_deref(), Some("now"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    method: String,
    /// The scheme over which the request arrived.
    scheme: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Makes a request. `target` is a path with its query, or a complete URL.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.into(),
            scheme: "http",
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Makes a `GET` request.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the scheme over which the request arrived.
    pub(crate) fn over(mut self, scheme: &'static str) -> Self {
        self.scheme = scheme;
        self
    }

    /// Returns the method, as it was sent.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path_and_query().split('?').next().unwrap_or_default()
    }

    /// Returns the first query parameter with this name, decoded.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        let query = self.path_and_query().split_once('?')?.1;
        parameter(query.as_bytes(), name)
    }

    /// Returns the first parameter with this name in a form body, decoded.
    pub(crate) fn form(&self, name: &str) -> Option<Cow<'_, str>> {
        parameter(&self.body, name)
    }

    /// Returns the value of the first header with this name, which is compared without regard to
    /// case.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Returns the bearer token of the `Authorization` header.
    #[must_use]
    pub fn bearer_token(&self) -> Option<&str> {
        let (scheme, token) = self.header_value("authorization")?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim())
            .filter(|token| !token.is_empty())
    }

    /// Returns the emulator's own origin, as the client's `Host` header names it.
    pub(crate) fn own_origin(&self) -> String {
        let host = self.header_value("host").unwrap_or("127.0.0.1");
        format!("{}://{host}", self.scheme)
    }

    /// Returns the resource of the control API that the request is for. `None` if it is for Box's
    /// API.
    pub(crate) fn control_resource(&self) -> Option<&str> {
        let resource = self.path().strip_prefix("/_emulator")?;
        (resource.is_empty() || resource.starts_with('/')).then(|| resource.trim_matches('/'))
    }

    /// Returns `true` if the request is for Box's API, and not a poll or a control request.
    pub(crate) fn is_api_call(&self) -> bool {
        self.control_resource().is_none() && Endpoint::of(self) != Endpoint::Realtime
    }

    pub(crate) fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    /// Returns the path with the query. A client that takes the emulator for a proxy sends
    /// `GET http://host/path`.
    fn path_and_query(&self) -> &str {
        match self.target.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
                rest.find('/').map_or("/", |slash| &rest[slash..])
            }
            _ => &self.target,
        }
    }
}

fn parameter<'a>(form: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    form_urlencoded::parse(form)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

/// The endpoint of Box's API that a request is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `OPTIONS /2.0/events`: the list of realtime servers.
    Options,
    /// `GET /2.0/events`: a page of events.
    Events,
    /// `GET /realtime/{n}/subscribe`: a held request for one signal.
    Realtime,
    /// `POST /oauth2/token`: an access token for a grant.
    Token,
    /// Any other request, except for the emulator's control API.
    Other,
}

impl Endpoint {
    /// The endpoints that faults can be queued for.
    pub const ALL: [Self; 4] = [Self::Options, Self::Events, Self::Realtime, Self::Token];

    /// Returns the endpoint that a request is for.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        match (request.method(), request.path()) {
            ("OPTIONS", "/2.0/events") => Self::Options,
            ("GET", "/2.0/events") => Self::Events,
            ("GET", path) if path.ends_with("/subscribe") => Self::Realtime,
            ("POST", "/oauth2/token") => Self::Token,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_url_has_the_path_and_query_of_its_target() {
        let request = Request::get("http://127.0.0.1:80/2.0/events?limit=5");
        assert_eq!(request.path(), "/2.0/events");
        assert_eq!(request.query("limit").as_deref(), Some("5"));
    }

    #[test]
    fn a_url_inside_a_query_is_not_taken_for_the_target() {
        assert_eq!(
            Request::get("/subscribe?next=http://elsewhere/x").path(),
            "/subscribe"
        );
    }

    #[test]
    fn only_a_bearer_token_is_a_token() {
        let with = |value| {
            Request::get("/")
                .header("authorization", value)
                .bearer_token()
                .map(String::from)
        };
        assert_eq!(with("bearer abc"), Some("abc".into()));
        assert_eq!(with("Basic abc"), None);
        assert_eq!(with("Bearer "), None);
    }
}
