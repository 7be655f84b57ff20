//! [`Endpoint`]: the URL of a receiver, whose secret parts are never shown.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// The URL of a receiver.
pub(crate) struct Endpoint {
    /// The URL without the user, the password and the fragment.
    url: Url,
    uri: Uri,
    /// The user and the password of the URL.
    authorization: Option<HeaderValue>,
}

impl FromStr for Endpoint {
    /// The reason, without a part of the URL.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "not a URL such as https://example.com/hook";
        let mut url = Url::parse(text).map_err(|_| EXPECTED)?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(EXPECTED);
        }
        let authorization = authorization(&url);
        // These fail only for URLs that have no host.
        url.set_username("").map_err(|()| EXPECTED)?;
        url.set_password(None).map_err(|()| EXPECTED)?;
        url.set_fragment(None);
        let uri = url.as_str().parse().map_err(|_| EXPECTED)?;
        Ok(Self {
            url,
            uri,
            authorization,
        })
    }
}

impl Endpoint {
    /// Returns the part of the URL that may be shown: the scheme, the host and the port.
    pub(crate) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Returns `true` if the receiver is on this machine. A name such as `app.localhost` does not
    /// count: it may go to a proxy, because the HTTP libraries know only `localhost` itself.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

/// Returns the header for the user and the password of a URL, if it has them.
fn authorization(url: &Url) -> Option<HeaderValue> {
    let password = url.password().unwrap_or_default();
    if url.username().is_empty() && password.is_empty() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    let text = format!("Basic {}", STANDARD.encode(pair));
    let mut header = HeaderValue::from_str(&text).expect("base64 is valid in a header");
    header.set_sensitive(true);
    Some(header)
}
