//! Which realtime servers are trusted.

use box_longpoll::config::RealtimeHosts;
use url::{Host, Url};

/// Box's own, and where the API itself is on this machine, those on this machine too.
pub(crate) fn realtime_hosts(api: Option<&str>) -> RealtimeHosts {
    let api = api.and_then(|api| Url::parse(api).ok());
    let loopback = match api.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if loopback {
        RealtimeHosts::default().allow_loopback()
    } else {
        RealtimeHosts::default()
    }
}
