//! Protection of the control API against web pages, and of tokens against disclosure.
//!
//! A web page in a developer's browser can send requests to a server on the same machine. Two
//! headers that no page can forge reveal such requests: a foreign `Origin`, or a foreign `Host` if
//! the page's own host name resolves to this machine. There are no passwords. Start from
//! [`refusal`] and [`hashed`].

use std::net::{IpAddr, SocketAddr};

use sha2::{Digest as _, Sha256};

use crate::Request;

/// The number of hexadecimal digits that stand for a token. They distinguish ten thousand tokens.
const DIGITS: usize = 16;

/// Returns the reason if a control request is refused.
pub(crate) fn refusal(request: &Request) -> Option<&'static str> {
    let host = request.header_value("host").unwrap_or_default();
    if !is_address_or_localhost(host) {
        return Some("the Host header is neither an IP address nor localhost");
    }
    let own = request.own_origin();
    let foreign = request
        .header_value("origin")
        .is_some_and(|origin| !origin.eq_ignore_ascii_case(&own));
    foreign.then_some("the Origin header is not the emulator's own origin")
}

fn is_address_or_localhost(host: &str) -> bool {
    if host
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_ipv4())
        || host.parse::<SocketAddr>().is_ok()
    {
        return true;
    }
    // An IPv6 address without a port has brackets, which only `SocketAddr` parses.
    if host.ends_with(']') {
        return format!("{host}:80").parse::<SocketAddr>().is_ok();
    }
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    name.eq_ignore_ascii_case("localhost") && port.bytes().all(|digit| digit.is_ascii_digit())
}

/// Returns `true` if the request declares its body as JSON. A form of a web page can't do that.
pub(crate) fn claims_json(request: &Request) -> bool {
    let content_type = request.header_value("content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// Returns the text that stands for a token: `sha256:` and the first 16 digits of its SHA-256.
pub(crate) fn hashed(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    let mut shown = String::from("sha256:");
    for byte in &digest[..DIGITS / 2] {
        shown += &format!("{byte:02x}");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(host: &str, origin: Option<&str>) -> bool {
        let mut request = Request::get("/_emulator/").header("Host", host);
        if let Some(origin) = origin {
            request = request.header("Origin", origin);
        }
        refusal(&request).is_some()
    }

    #[test]
    fn requests_for_addresses_and_localhost_are_admitted() {
        for host in [
            "127.0.0.1:8787",
            "127.0.0.1",
            "192.0.2.7:80",
            "[::1]:8787",
            "[::1]",
            "localhost:8787",
            "LOCALHOST",
        ] {
            assert!(!refused(host, None), "{host}");
            assert!(!refused(host, Some(&format!("http://{host}"))), "{host}");
        }
    }

    #[test]
    fn requests_for_other_host_names_are_refused() {
        for host in [
            "",
            "rebound.example:8787",
            "localhost.example",
            "127.0.0.1.example:8787",
            "localhost:8787.example",
            "127.0.0.1:",
            "::1",
            "[::1].example",
            "user@127.0.0.1",
        ] {
            assert!(refused(host, None), "{host}");
        }
        assert!(refusal(&Request::get("/_emulator/")).is_some());
    }

    #[test]
    fn requests_from_another_origin_are_refused() {
        for origin in [
            "https://page.example",
            "http://127.0.0.1:9999",
            "http://127.0.0.1",
            "https://127.0.0.1:8787",
            "http://localhost:8787",
            "null",
            "",
        ] {
            assert!(refused("127.0.0.1:8787", Some(origin)), "{origin}");
        }
    }

    #[test]
    fn the_own_origin_has_the_scheme_of_the_request() {
        let request = Request::get("/_emulator/")
            .over("https")
            .header("Host", "127.0.0.1:8787");
        let refused = |origin| refusal(&request.clone().header("Origin", origin)).is_some();
        assert!(!refused("https://127.0.0.1:8787"));
        assert!(refused("http://127.0.0.1:8787"));
    }

    #[test]
    fn a_shown_token_is_the_start_of_its_sha256sum() {
        assert_eq!(hashed("a-token"), "sha256:1f6076e3a47ba1de");
    }
}
