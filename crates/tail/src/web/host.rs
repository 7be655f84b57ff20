//! The check of a request's `Host`.
//!
//! The page shows names of people and files. A website in the browser of an operator could let its
//! own name point to this machine, and then read the page as if it were its own (DNS rebinding).
//! The browser would send that name as the `Host`. So only IP addresses, which can't be pointed
//! elsewhere, `localhost`, and the names of `--metrics-host` are accepted.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use http::uri::Authority;
use http::{HeaderMap, Uri, header};

/// A host name that the operator trusts.
#[derive(Clone, Debug)]
pub(crate) struct HostName(String);

impl FromStr for HostName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<Authority>() {
            Ok(name) if name.host() == text => Ok(Self(text.into())),
            _ => Err("not a host name such as tail.example.com, without a port"),
        }
    }
}

/// Returns `true` if the page may be shown to the sender of a request.
pub(super) fn is_trusted(uri: &Uri, headers: &HeaderMap, names: &[HostName]) -> bool {
    let mut headers = headers.get_all(header::HOST).iter();
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return false;
    };
    let header: Option<Authority> = header.to_str().ok().and_then(|text| text.parse().ok());
    // A URL as the target of a request takes precedence over the header.
    let target = uri.authority().into_iter().cloned().map(Some);
    target.chain([header]).all(|authority| {
        let host = authority.as_ref().and_then(host_of);
        host.is_some_and(|host| is_address_or_localhost(host) || is_named(host, names))
    })
}

/// Returns the host before the port, if there is nothing else.
fn host_of(authority: &Authority) -> Option<&str> {
    let host = authority.host();
    match authority.as_str().strip_prefix(host)? {
        "" => Some(host),
        port => port
            .strip_prefix(':')?
            .parse::<u16>()
            .is_ok()
            .then_some(host),
    }
}

fn is_address_or_localhost(host: &str) -> bool {
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match v6 {
        Some(host) => host.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost"),
    }
}

fn is_named(host: &str, names: &[HostName]) -> bool {
    let mut names = names.iter();
    names.any(|name| name.0.eq_ignore_ascii_case(host))
}
