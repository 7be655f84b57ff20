//! The property of the policy for realtime URLs.

use std::net::IpAddr;

use box_longpoll::config::RealtimeHosts;
use box_longpoll::protocol::{Call, Output};
use box_longpoll::{ErrorKind, LongPollClient};
use bytes::Bytes;
use futures_lite::future::block_on;
use http::{Response, Uri};

use super::exchange::{Engine, client};
use super::shown;

const NAMED: &str = "proxy.example";

/// The maximum length of a list, in bytes. The client refuses a longer list before it checks the
/// policy.
const MAX_LIST: usize = 256 * 1024;

/// Asserts that the engine polls a URL only if the policy permits it.
pub(crate) fn holds(data: &[u8]) {
    let url = String::from_utf8_lossy(data);
    let list = serde_json::json!({"entries": [{"url": url}]}).to_string();
    if list.len() > MAX_LIST {
        return;
    }
    let response = Response::new(Bytes::from(list));
    for (hosts, permitted) in policies() {
        let builder = || LongPollClient::builder().realtime_hosts(hosts.clone());
        let listed = block_on(client(builder(), &response).realtime_servers());
        let mut engine = Engine::awaiting_with(builder(), Call::List);
        engine.respond(response.clone());
        let Output::Send { call, request } = engine.next() else {
            panic!("a URL stops nothing");
        };
        match listed {
            Ok(servers) => {
                assert_eq!(call, Call::Listen);
                let uri = request.request().uri();
                assert!(permitted(uri), "{uri}");
                assert_eq!(uri.host(), Some(servers[0].host()));
                let query = uri.query().unwrap_or_default();
                assert!(query.ends_with("stream_position=100"), "{uri}");
                shown::assert_text(&format!("{servers:?} {request:?}"));
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::RealtimeRefused, "{error}");
                assert_eq!(call, Call::Fetch);
                shown::assert_error(&error);
            }
        }
    }
}

/// A setting, and the check of a URL that it permits.
type Policy = (RealtimeHosts, fn(&Uri) -> bool);

fn policies() -> [Policy; 3] {
    let hosts = RealtimeHosts::default;
    [
        (hosts(), is_boxs),
        (hosts().allow(NAMED), |uri| {
            is_boxs(uri) || is_named_over_https(uri)
        }),
        (hosts().allow_loopback(), |uri| {
            is_boxs(uri) || is_loopback(uri)
        }),
    ]
}

fn is_boxs(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let named = host.ends_with(".box.com") || host.ends_with(".box.net");
    is_https(uri) && uri.port().is_none() && named && host.chars().all(plain)
}

fn is_named_over_https(uri: &Uri) -> bool {
    is_https(uri) && uri.port().is_none() && uri.host() == Some(NAMED)
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https") && names_no_user(uri) && address(uri).is_none()
}

fn is_loopback(uri: &Uri) -> bool {
    let here = uri.host() == Some("localhost") || address(uri).is_some_and(|ip| ip.is_loopback());
    here && matches!(uri.scheme_str(), Some("http" | "https")) && names_no_user(uri)
}

fn names_no_user(uri: &Uri) -> bool {
    uri.authority()
        .is_some_and(|authority| !authority.as_str().contains('@'))
}

fn address(uri: &Uri) -> Option<IpAddr> {
    let host = uri.host()?;
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}
