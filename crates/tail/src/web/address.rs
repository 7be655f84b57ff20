//! The address of `--metrics`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Reads an address. A port alone is one of this machine, which other machines can't reach.
pub(super) fn parse(text: &str) -> Result<SocketAddr, String> {
    let port = text
        .strip_prefix("localhost")
        .filter(|rest| rest.starts_with(':'))
        .unwrap_or(text);
    let port = port.strip_prefix(':').unwrap_or(port);
    if let Ok(port) = port.parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err("the port is missing, as in 127.0.0.1:9464".into());
    }
    text.parse().map_err(|_| {
        "not an address such as :9464, 127.0.0.1:9464 or [::]:9464: it needs a port, and an IP \
         address in place of a name"
            .into()
    })
}

/// Returns the address at which a browser on this machine finds the server.
pub(super) fn to_visit(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
