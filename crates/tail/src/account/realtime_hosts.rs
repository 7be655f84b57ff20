//! [`realtime_hosts`]: the realtime servers that the program trusts.
//!
//! A fake Box on this machine names realtime servers on this machine, which the library does not
//! trust by default.

use box_longpoll::config::RealtimeHosts;
use url::{Host, Url};

/// Returns the trusted hosts: Box's own, and if the API is on this machine, this machine too.
pub(crate) fn realtime_hosts(api: Option<&str>) -> RealtimeHosts {
    let api = api.and_then(|api| Url::parse(api).ok());
    let is_loopback = match api.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if is_loopback {
        RealtimeHosts::default().allow_loopback()
    } else {
        RealtimeHosts::default()
    }
}
