//! What the realtime servers are and what they say.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use url::{Host, Url};

use crate::config::{is_loopback, sendable};
use crate::error::{Error, ErrorKind, ensure};
use crate::json::without_mark;

/// The hosts that Box's realtime servers have.
const BOX_DOMAINS: [&str; 2] = [".box.com", ".box.net"];

/// The port of https.
const HTTPS: u16 = 443;

/// The longest realtime URL that is taken from a server; Box's have about 100 bytes.
const MAX_URL_LENGTH: usize = 4_096;

/// Box's own figure, taken where the server gives none that can be used.
const DEFAULT_RETRY_TIMEOUT: Duration = Duration::from_secs(610);

/// Shorter would make a poll a busy loop, longer would leave a lost connection unnoticed.
const RETRY_TIMEOUT_SECONDS: std::ops::RangeInclusive<f64> = 10.0..=1_200.0;

/// Box's own figure, taken where the server gives none.
const DEFAULT_MAX_RETRIES: u32 = 10;

/// A URL that is gone sooner than in a minute would be listed again and again and never polled. A longer `ttl` than a year
/// means "for ever", and a bound keeps it from overflowing a clock.
const TTL_MINUTES: std::ops::RangeInclusive<f64> = 1.0..=525_600.0;

/// A server that holds a poll until something happens.
///
/// Its URL is a capability: whoever has it can listen. It is never shown.
///
/// See <https://developer.box.com/reference/resources/realtime-server/>.
#[derive(Clone, PartialEq, Eq)]
pub struct RealtimeServer {
    pub(crate) url: Url,
    ttl: Option<Duration>,
    max_retries: u32,
    retry_timeout: Duration,
}

impl RealtimeServer {
    /// The server's host.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// How long the URL may be used, at least a minute. `None`: no limit given.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// How often the URL may be polled before the servers are to be listed anew. At least 1.
    #[must_use]
    pub fn max_retries(&self) -> u32 {
        self.max_retries
    }

    /// How long a poll may stay silent. 10 s to 1,200 s; 610 s where the server gives no number.
    #[must_use]
    pub fn retry_timeout(&self) -> Duration {
        self.retry_timeout
    }
}

impl fmt::Debug for RealtimeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeServer")
            .field("host", &self.host())
            .field("ttl", &self.ttl)
            .field("max_retries", &self.max_retries)
            .field("retry_timeout", &self.retry_timeout)
            .finish_non_exhaustive()
    }
}

/// Which hosts a realtime URL may have.
///
/// The list of servers comes from the network, and a server that is polled learns when the account changes. So the client
/// polls a URL only if all of this holds:
///
/// - It is `https`; plain `http` is upgraded.
/// - Its host belongs to `box.com` or `box.net`, with nothing but letters, digits and hyphens between the dots, or is one that
///   [`allow`](Self::allow) names. It is no IP address.
/// - Its port is 443, or one that [`allow`](Self::allow) names.
/// - It has no user and no password.
/// - Its host is not that of the API, if polls carry the token ([`RealtimeToken::Send`](crate::RealtimeToken::Send)): there a poll
///   would be an API call.
///
/// [`allow_loopback`](Self::allow_loopback) permits this machine besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct RealtimeHosts {
    /// As `HOST` or `HOST:PORT`.
    named: Vec<String>,
    loopback: bool,
    refused: Option<String>,
}

impl RealtimeHosts {
    /// Permits one more host over https, by its exact name, at port 443. `HOST:PORT` permits another port.
    pub fn allow(mut self, host: impl Into<String>) -> Self {
        self.named.push(host.into().to_ascii_lowercase());
        self
    }

    /// Permits this machine, by name or address, over http too. For tests.
    pub fn allow_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        for name in &self.named {
            let host = Url::parse(&format!("https://{name}/")).ok();
            ensure(
                host.is_some_and(|url| {
                    names(name, &url) && url.domain().is_some() && !is_loopback(&url)
                }),
                "a named realtime host is HOST or HOST:PORT, without a scheme; for this machine there is allow_loopback",
            )?;
        }
        Ok(())
    }

    /// Refuses one host, whatever else permits it.
    pub(crate) fn refuse(&mut self, host: &str) {
        self.refused = Some(host.trim_end_matches('.').to_owned());
    }

    /// The URL to ask, or why it is not asked. The reason doesn't show the URL.
    pub(crate) fn permit(&self, text: &str) -> Result<Url, Error> {
        let refused = |why: &str| {
            Error::new(
                ErrorKind::RealtimeRefused,
                format!("a realtime server was refused: {why}"),
            )
        };
        if text.len() > MAX_URL_LENGTH {
            return Err(refused("its URL is too long"));
        }
        let mut url = Url::parse(text).map_err(|_| refused("its URL is malformed"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("its URL is not https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("its URL names a user"));
        }
        url.set_fragment(None);
        if is_loopback(&url) {
            return (self.loopback && sendable(&url))
                .then_some(url)
                .ok_or_else(|| {
                    refused("loopback is not permitted, see RealtimeHosts::allow_loopback")
                });
        }
        if url.scheme() == "http" {
            url.set_scheme("https")
                .map_err(|()| refused("its URL is not https"))?;
        }
        let Some(Host::Domain(host)) = url.host() else {
            return Err(refused("its host is an IP address"));
        };
        if self.refused.as_deref() == Some(host.trim_end_matches('.')) {
            return Err(refused(
                "its host is the API's own, which polls with the access token must not reach",
            ));
        }
        if !self.named.iter().any(|named| names(named, &url)) {
            if !is_boxs(host) && !self.named.iter().any(|named| named == host) {
                return Err(refused("its host is not Box's, see RealtimeHosts::allow"));
            }
            if url.port().is_some() {
                return Err(refused("its port is not 443, see RealtimeHosts::allow"));
            }
        }
        sendable(&url)
            .then_some(url)
            .ok_or_else(|| refused("its URL cannot be sent"))
    }
}

/// Returns `true` if the text, `HOST` or `HOST:PORT`, is the URL's host and port.
fn names(text: &str, url: &Url) -> bool {
    let (host, port) = (
        url.host_str().unwrap_or_default(),
        url.port().unwrap_or(HTTPS),
    );
    text == format!("{host}:{port}") || (port == HTTPS && text == host)
}

/// Returns `true` for a name below Box's domains. Clients and servers read other characters than these in different ways.
fn is_boxs(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    BOX_DOMAINS.iter().any(|domain| host.ends_with(domain)) && host.split('.').all(label)
}

/// One answer to `OPTIONS /events`.
#[derive(Debug)]
pub(crate) struct ServerList {
    pub(crate) servers: Vec<RealtimeServer>,
    /// Why the last of the others was left out.
    pub(crate) refused: Option<Error>,
}

#[derive(Deserialize)]
struct ListWire<'a> {
    #[serde(borrow)]
    entries: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct ServerWire<'a> {
    url: String,
    #[serde(borrow)]
    ttl: Option<&'a RawValue>,
    #[serde(borrow)]
    max_retries: Option<&'a RawValue>,
    #[serde(borrow)]
    retry_timeout: Option<&'a RawValue>,
}

impl ServerList {
    /// Decodes a body. An entry that can't be used is left out, one that lacks a number gets Box's usual one.
    pub(crate) fn decode(body: &[u8], hosts: &RealtimeHosts) -> Result<Self, Error> {
        let unexpected = |why: &str| Error::new(ErrorKind::UnexpectedAnswer, why);
        let body = without_mark(body);
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(unexpected("the list of realtime servers is not JSON"));
        }
        // Serde's own error quotes what it met, which may be a URL.
        let wire: ListWire = serde_json::from_slice(body)
            .map_err(|_| unexpected("the list of realtime servers cannot be read"))?;
        let mut list = Self {
            servers: Vec::new(),
            refused: None,
        };
        for entry in wire.entries.unwrap_or_default() {
            match Self::entry(entry, hosts) {
                Ok(server) => list.servers.push(server),
                Err(error) => list.refused = Some(error),
            }
        }
        list.servers.shrink_to_fit();
        Ok(list)
    }

    fn entry(json: &RawValue, hosts: &RealtimeHosts) -> Result<RealtimeServer, Error> {
        let wire: ServerWire = serde_json::from_str(json.get()).map_err(|_| {
            Error::new(
                ErrorKind::UnexpectedAnswer,
                "a realtime server's entry cannot be read",
            )
        })?;
        Ok(RealtimeServer {
            url: hosts.permit(&wire.url)?,
            ttl: number(wire.ttl)
                .filter(|minutes| *minutes > 0.0)
                .map(|minutes| {
                    Duration::from_secs_f64(
                        minutes.clamp(*TTL_MINUTES.start(), *TTL_MINUTES.end()) * 60.0,
                    )
                }),
            max_retries: number(wire.max_retries)
                .map_or(DEFAULT_MAX_RETRIES, |polls| whole(polls).max(1)),
            retry_timeout: number(wire.retry_timeout)
                .filter(|seconds| *seconds > 0.0)
                .map_or(DEFAULT_RETRY_TIMEOUT, |seconds| {
                    Duration::from_secs_f64(
                        seconds.clamp(*RETRY_TIMEOUT_SECONDS.start(), *RETRY_TIMEOUT_SECONDS.end()),
                    )
                }),
        })
    }
}

/// A number, spelt as one or as a string: Box's documentation has both.
fn number(json: Option<&RawValue>) -> Option<f64> {
    let text = json?.get().trim_matches('"').trim();
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, which is what an absurd number wants"
)]
fn whole(number: f64) -> u32 {
    number as u32
}

/// What a realtime server says at the end of a poll.
///
/// See <https://developer.box.com/guides/events/user-events/polling/>.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Something happened: fetch.
    NewChange,
    /// Nothing happened for a while: list the servers anew.
    Reconnect,
    /// The URL is used up: list the servers anew.
    MaxRetries,
    /// Something that Box doesn't document, as it came. It is a server's text: escape it before you show it.
    Other(String),
}

#[derive(Deserialize)]
struct SignalWire {
    message: String,
}

impl Signal {
    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let body = without_mark(body);
        if body.trim_ascii_start().first() != Some(&b'{') {
            return None;
        }
        let wire: SignalWire = serde_json::from_slice(body).ok()?;
        Some(match &*wire.message {
            "new_change" => Signal::NewChange,
            "reconnect" => Signal::Reconnect,
            "max_retries" => Signal::MaxRetries,
            _ => Signal::Other(wire.message),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_refused(hosts: &RealtimeHosts, url: &str) {
        let error = hosts.permit(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RealtimeRefused, "{url}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }

    #[test]
    fn only_https_on_boxs_hosts_is_asked() {
        let hosts = RealtimeHosts::default();
        let long = format!("https://a.box.com/{}", "x".repeat(10_000));
        for url in [
            "https://evil.example/canary",
            "https://evilbox.com/canary",
            "https://box.com.evil.example/canary",
            "https://user@2.realtime.services.box.net/canary",
            "https://:pw@2.realtime.services.box.net/canary",
            "https://93.184.216.34/canary",
            "https://[2001:db8::1]/canary",
            "https://127.0.0.1/canary",
            "http://localhost/canary",
            "javascript:canary",
            "ftp://a.box.com/canary",
            "//a.box.com/canary",
            "",
            &long,
        ] {
            assert_refused(&hosts, url);
        }
    }

    /// Each of these is a host of Box's to somebody who reads it in another way.
    #[test]
    fn a_label_with_another_character_is_refused() {
        for url in [
            "https://a_b.box.com/canary",
            "https://a~b.box.com/canary",
            "https://a!b.box.com/canary",
            "https://evil.example'.box.com/canary",
            "https://evil.example&.box.com/canary",
            "https://evil.example(.box.com/canary",
            "https://evil.example%24.box.com/canary",
            "https://*.box.com/canary",
            "https://a..box.com/canary",
            "https://.box.com/canary",
            "https://a.box.com./canary",
            "https://a.box.com../canary",
            "https://box.com/canary",
        ] {
            assert_refused(&RealtimeHosts::default(), url);
        }
    }

    #[test]
    fn a_host_of_boxs_is_permitted_in_any_spelling() {
        for (url, host) in [
            ("https://A-1.Realtime.BOX.com/x", "a-1.realtime.box.com"),
            ("https://a%2ebox%2Ecom/x", "a.box.com"),
            ("https://a。box。com/x", "a.box.com"),
            ("https://bücher.box.net/x", "xn--bcher-kva.box.net"),
        ] {
            let permitted = RealtimeHosts::default().permit(url).unwrap();
            assert_eq!(permitted.host_str(), Some(host), "{url}");
        }
    }

    /// A URL's user, path, query or fragment may look like a host.
    #[test]
    fn what_looks_like_a_host_of_boxs_is_refused() {
        for url in [
            "https://a.box.com@evil.example/canary",
            "https://a.box.com:443@evil.example/canary",
            "https://evil.example/@a.box.com/canary",
            "https://evil.example\\@a.box.com/canary",
            "https://evil.example?.box.com/canary",
            "https://evil.example#.box.com/canary",
            "https://canary@a.box.com/",
            "https://@evil.example/.box.com",
        ] {
            assert_refused(&RealtimeHosts::default(), url);
        }
    }

    #[test]
    fn a_port_is_refused_unless_it_is_443_or_named() {
        let hosts = RealtimeHosts::default()
            .allow("Proxy.Example:8443")
            .allow("2.box.com:444");
        for url in [
            "https://a.box.com/",
            "https://a.box.com:443/",
            "http://a.box.com:443/",
            "http://a.box.com:80/",
            "https://proxy.example:8443/",
            "http://proxy.example:8443/",
            "https://2.box.com:444/",
            "https://2.box.com/",
        ] {
            assert_eq!(hosts.permit(url).unwrap().scheme(), "https", "{url}");
        }
        for url in [
            "https://a.box.com:444/canary",
            "https://a.box.com:80/canary",
            "http://a.box.com:8443/canary",
            "https://a.box.com:0/canary",
            "https://proxy.example/canary",
            "https://proxy.example:443/canary",
            "https://proxy.example:444/canary",
            "https://2.box.com:445/canary",
        ] {
            assert_refused(&hosts, url);
        }
        let named = RealtimeHosts::default().allow("proxy.example");
        assert_refused(&named, "https://proxy.example:8443/canary");
    }

    #[test]
    fn a_refusal_says_what_would_permit_the_host() {
        for (url, hint) in [
            ("https://a.box.com:444/", "see RealtimeHosts::allow"),
            ("https://proxy.example/", "see RealtimeHosts::allow"),
            ("http://localhost/", "see RealtimeHosts::allow_loopback"),
            ("https://10.0.0.1/", "is an IP address"),
        ] {
            let error = RealtimeHosts::default().permit(url).unwrap_err();
            assert!(error.to_string().ends_with(hint), "{error}");
        }
    }

    #[test]
    fn plain_http_is_upgraded() {
        let url = "http://2.realtime.services.box.net/subscribe?channel=c&stream_type=all";
        let permitted = RealtimeHosts::default().permit(url).unwrap();
        assert_eq!(permitted.as_str(), url.replace("http:", "https:"));
    }

    #[test]
    fn named_hosts_and_loopback_are_permitted_when_asked_for() {
        let named = RealtimeHosts::default().allow("Proxy.Example");
        assert_eq!(
            named.permit("http://proxy.example/x").unwrap().scheme(),
            "https"
        );
        assert_refused(&named, "https://other.proxy.example/");
        let loopback = RealtimeHosts::default().allow_loopback();
        assert_eq!(
            loopback.permit("http://127.0.0.1:1/x").unwrap().scheme(),
            "http"
        );
        assert_refused(&loopback, "http://10.0.0.1/x");
    }

    #[track_caller]
    fn server(fields: &str) -> RealtimeServer {
        let body = format!(r#"{{"entries":[{{"url":"https://a.box.com/"{fields}}}]}}"#);
        let list = ServerList::decode(body.as_bytes(), &RealtimeHosts::default()).unwrap();
        list.servers.into_iter().next().expect("one server")
    }

    #[test]
    fn both_spellings_of_the_numbers_are_read() {
        let seconds = Duration::from_secs;
        for fields in [
            r#","ttl":"10","max_retries":"7","retry_timeout":610"#,
            r#","ttl":10,"max_retries":7,"retry_timeout":"610""#,
        ] {
            let server = server(fields);
            assert_eq!(server.ttl(), Some(seconds(600)));
            assert_eq!(server.max_retries(), 7);
            assert_eq!(server.retry_timeout(), seconds(610));
        }
    }

    #[test]
    fn absurd_numbers_become_usable_ones() {
        let seconds = Duration::from_secs;
        for (given, taken) in [
            ("0", 610),
            ("-1", 610),
            ("null", 610),
            ("\"x\"", 610),
            ("1e999", 610),
            ("1", 10),
            ("1e300", 1_200),
        ] {
            let server = server(&format!(r#","retry_timeout":{given}"#));
            assert_eq!(server.retry_timeout(), seconds(taken), "{given}");
        }
        for (given, taken) in [("0", 1), ("-5", 1), ("1e300", u32::MAX), ("null", 10)] {
            let server = server(&format!(r#","max_retries":{given}"#));
            assert_eq!(server.max_retries(), taken, "{given}");
        }
        assert_eq!(server("").ttl(), None);
        for (given, taken) in [("0", None), ("-1", None), ("0.1", Some(seconds(60)))] {
            let server = server(&format!(r#","ttl":{given}"#));
            assert_eq!(server.ttl(), taken, "{given}");
        }
        assert!(server(r#","ttl":1e300"#).ttl().is_some());
    }

    #[test]
    fn an_entry_that_cannot_be_used_leaves_the_others() {
        let body = r#"{"entries":[null,{"type":"x"},{"url":7},{"url":"https://evil.example"},{"url":"https://a.box.com/"}]}"#;
        let list = ServerList::decode(body.as_bytes(), &RealtimeHosts::default()).unwrap();
        assert_eq!(list.servers.len(), 1);
        assert!(list.refused.is_some());
    }

    #[test]
    fn signals_are_read_with_and_without_a_version() {
        assert_eq!(
            Signal::decode(br#"{"version":1,"message":"new_change"}"#),
            Some(Signal::NewChange)
        );
        assert_eq!(
            Signal::decode(br#" {"message":"reconnect"}"#),
            Some(Signal::Reconnect)
        );
        assert_eq!(
            Signal::decode(br#"{"message":"max_retries"}"#),
            Some(Signal::MaxRetries)
        );
        assert_eq!(
            Signal::decode(br#"{"message":"x"}"#),
            Some(Signal::Other("x".into()))
        );
        for garbage in ["", "<html>", "[\"new_change\"]", "{\"message\":1}", "{"] {
            assert_eq!(Signal::decode(garbage.as_bytes()), None, "{garbage}");
        }
    }

    #[test]
    fn debug_does_not_show_the_url() {
        let server = server("");
        assert!(!format!("{server:?}").contains("https"));
    }
}
