//! The hosts that the client connects to: the API's origin, and the realtime servers that Box
//! lists.
//!
//! A token goes to the API's origin alone. The URLs of realtime servers come from the network, so
//! [`RealtimeHosts`] decides which of them are polled. This module checks URLs and resolves no
//! names. The type to start from is [`RealtimeHosts`].

use url::{Host, Url};

use crate::error::{Error, ErrorKind, ensure};

/// The origin of Box's API.
pub(crate) const API_ORIGIN: &str = "https://api.box.com";

/// The longest host name in characters, which is the limit of the domain name system.
const MAX_HOST: usize = 253;

/// The domains of Box's realtime servers.
const BOX_DOMAINS: [&str; 2] = [".box.com", ".box.net"];

/// The port of https.
const HTTPS: u16 = 443;

/// The longest realtime URL that is accepted, in bytes. Box's have about 100 bytes.
const MAX_URL_LENGTH: usize = 4_096;

/// Checks the API's origin, and returns its normalized form.
pub(crate) fn api_origin(text: &str) -> Result<String, Error> {
    let rule = "the API origin must be https://HOST, or http://HOST on loopback, without user, path or query, and a host of at most 253 characters";
    let url = Url::parse(text).map_err(|_| Error::config(rule))?;
    let secure = match url.scheme() {
        "https" => true,
        "http" => is_loopback(&url),
        _ => false,
    };
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.host_str().is_some_and(|host| host.len() <= MAX_HOST);
    ensure(secure && bare && sendable(&url), rule)?;
    Ok(url.origin().ascii_serialization())
}

/// Returns `true` if HTTP libraries accept the URL. A browser's rules for URLs are wider.
fn sendable(url: &Url) -> bool {
    http::Uri::try_from(url.as_str()).is_ok()
}

/// Returns `true` if the URL's host is this machine, by name or by address.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The hosts that a realtime URL may name.
///
/// The list of servers comes from the network, and a server that is polled learns when the account
/// changes. So the client polls a URL only if it meets all of these rules:
///
/// - Its scheme is `https`. Plain `http` is upgraded.
/// - Its host belongs to `box.com` or `box.net`, with only letters, digits and hyphens between the
///   dots, or [`allow`](Self::allow) names it. It is not an IP address.
/// - Its port is 443, or [`allow`](Self::allow) names it.
/// - It contains no user and no password.
/// - Its host is not the API's, if polls carry the token
///   ([`RealtimeToken::Send`](crate::config::RealtimeToken::Send)). A poll of that host would be an
///   API call.
///
/// [`allow_loopback`](Self::allow_loopback) also permits this machine. By default no other host is
/// permitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct RealtimeHosts {
    /// The permitted hosts, as `HOST` or `HOST:PORT`.
    named: Vec<String>,
    /// `true` if this machine is permitted.
    loopback: bool,
    /// The host that is refused in any case.
    refused: Option<String>,
}

impl RealtimeHosts {
    /// Permits one more host over https, by its exact name, at port 443. `HOST:PORT` permits
    /// another port.
    pub fn allow(mut self, host: impl Into<String>) -> Self {
        self.named.push(host.into().to_ascii_lowercase());
        self
    }

    /// Permits this machine, by name or address, also over http. Use it for tests.
    pub fn allow_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// Checks the hosts that [`allow`](Self::allow) has named.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for name in &self.named {
            let host = Url::parse(&format!("https://{name}/")).ok();
            ensure(
                host.is_some_and(|url| {
                    names(name, &url) && url.domain().is_some() && !is_loopback(&url)
                }),
                "a realtime host must be HOST or HOST:PORT without a scheme; for this machine use allow_loopback",
            )?;
        }
        Ok(())
    }

    /// Refuses one host, even if another rule permits it.
    pub(crate) fn refuse(&mut self, host: &str) {
        self.refused = Some(host.trim_end_matches('.').to_owned());
    }

    /// Returns the URL to poll, or an error with the reason why it is refused. The error does not
    /// show the URL.
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
                "its host is the API's own, and polls with the access token must not go there",
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

/// Returns `true` if the host is below Box's domains. Other characters than these are refused,
/// because clients and servers read them in different ways.
fn is_boxs(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    BOX_DOMAINS.iter().any(|domain| host.ends_with(domain)) && host.split('.').all(label)
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
    fn only_https_on_boxs_hosts_is_permitted() {
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

    /// Another parser may read each of these as a host of Box.
    #[test]
    fn host_with_another_character_is_refused() {
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
    fn host_of_box_is_permitted_in_any_spelling() {
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

    /// The user, path, query or fragment of a URL may look like a host.
    #[test]
    fn host_is_refused_when_it_only_looks_like_boxs() {
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
    fn port_is_refused_unless_it_is_443_or_named() {
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
    fn refusal_names_the_setting_that_permits_the_host() {
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
    fn named_host_and_loopback_are_permitted_when_configured() {
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
}
