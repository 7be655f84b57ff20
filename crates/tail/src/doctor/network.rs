//! The checks of the way to Box's API: proxy, names, connection, TLS and clock. None of them needs
//! a token.

use std::env;
use std::time::Duration;

use box_longpoll::HttpTransport as _;
use box_longpoll::transport::{Moment, TransportError, TransportErrorKind, TransportRequest};
use bytes::Bytes;
use http::header::DATE;
use http::{Request, Response};
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::Url;

use super::findings::Findings;
use crate::account::{Backend, Transport, without_password};
use crate::report::with_causes;

/// The time limit for a name and for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The time limit for a request.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest response that is read, in bytes. Its content does not matter.
const MAX_BODY: usize = 1024 * 1024;

/// The difference of the clocks that is reported, for which Box would refuse a signed request for a
/// token.
const MAX_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// The way to a host.
pub(super) struct Way {
    host: String,
    port: u16,
    /// `true` if plain http is used, which is possible on this machine only.
    is_plain: bool,
    is_loopback: bool,
    /// `true` if the environment names a proxy for the host.
    is_proxied: bool,
}

impl Way {
    /// Returns the way to Box's API.
    pub(super) fn to_api(origin: &str, backend: Option<Backend>) -> Option<Self> {
        let url = Url::parse(origin).ok()?;
        let way = Self {
            port: url.port_or_known_default()?,
            is_plain: url.scheme() == "http",
            ..Self::to_host(url.host_str()?, backend)
        };
        Some(way)
    }

    /// Returns the way to the port of https on a host.
    pub(super) fn to_host(host: &str, backend: Option<Backend>) -> Self {
        let host = host.trim_matches(['[', ']']);
        let address = host.parse::<std::net::IpAddr>();
        let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        Self {
            host: host.to_owned(),
            port: 443,
            is_plain: false,
            is_loopback,
            is_proxied: !is_loopback && backend.and_then(proxy).is_some(),
        }
    }
}

/// Returns the environment variable that names the proxy, and its value.
fn proxy(backend: Backend) -> Option<(&'static str, String)> {
    let variables = backend.proxy_variables().iter();
    let mut set = variables.filter_map(|name| Some((*name, env::var(name).ok()?)));
    set.find(|(_, value)| !value.is_empty())
}

/// Says which proxy the HTTP library uses, if there is one.
pub(super) fn check_proxy(way: &Way, backend: Backend, findings: &mut Findings) {
    const CHECK: &str = "proxy";
    if backend.proxy_variables().is_empty() {
        return findings.ok(CHECK, "this HTTP library uses no proxy");
    }
    if way.is_loopback {
        return findings.ok(CHECK, "none, because the API is on this machine");
    }
    let Some((variable, value)) = proxy(backend) else {
        return findings.ok(CHECK, "none: the environment names no proxy");
    };
    let mut except = ["NO_PROXY", "no_proxy"].into_iter();
    let except = except.find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
    let except = except.map(|hosts| format!(", but not for the hosts of NO_PROXY: {hosts}"));
    let proxy = without_password(&value);
    findings.ok(
        CHECK,
        format!("{variable} is {proxy}{}", except.unwrap_or_default()),
    );
}

/// Looks up the name of a host. Returns `true` if a connection can be tried.
pub(super) async fn check_name(check: &'static str, way: &Way, findings: &mut Findings) -> bool {
    let host = &way.host;
    let found = timeout(CONNECT_TIMEOUT, lookup_host((&**host, way.port))).await;
    let failure = match found {
        Ok(Ok(addresses)) => {
            let mut shown: Vec<_> = addresses.map(|address| address.ip().to_string()).collect();
            shown.dedup();
            findings.ok(check, format!("{host}: {}", shown.join(", ")));
            return true;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no response in time".to_owned(),
    };
    let detail = format!("{host} has no address: {failure}");
    if way.is_proxied {
        let remedy = "this is fine if the proxy looks up names: see the next checks";
        findings.warn(check, detail, remedy);
    } else {
        let remedy = "check the name, and the machine's DNS (/etc/resolv.conf); if this network \
                      needs a proxy, set HTTPS_PROXY";
        findings.fail(check, detail, remedy);
    }
    way.is_proxied
}

/// Opens a connection to the host, unless there is a proxy. Returns `true` if that is possible.
pub(super) async fn check_port(check: &'static str, way: &Way, findings: &mut Findings) -> bool {
    let (host, port) = (&way.host, way.port);
    if way.is_proxied {
        return true;
    }
    let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect((&**host, port))).await;
    let failure = match connected {
        Ok(Ok(_)) => return true,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no response in time".to_owned(),
    };
    findings.fail(
        check,
        format!("{host} port {port} can't be reached: {failure}"),
        format!(
            "have the firewall permit connections to {host} port {port}, or set HTTPS_PROXY if \
             this network needs a proxy"
        ),
    );
    false
}

/// Sends a request without a token, and checks the connection, TLS and the clock by it. Returns
/// `true` if there was a response.
pub(super) async fn check_connection(
    way: &Way,
    origin: &str,
    transport: &Transport,
    findings: &mut Findings,
) -> bool {
    if !check_port("connection", way, findings).await {
        findings.skip("tls", "there is no connection");
        findings.skip("clock", "there is no connection");
        return false;
    }
    let before = transport.now();
    let sent = probe(origin, transport).await;
    let after = transport.now();
    let host = &way.host;
    let secure = || {
        if way.is_plain {
            "not used for the API on this machine".to_owned()
        } else {
            format!("the certificate of {host} is trusted")
        }
    };
    let error = match sent {
        Ok(response) => {
            let took = after.monotonic.duration_since(before.monotonic);
            let detail = format!("{host} responded after {} ms", took.as_millis());
            findings.ok("connection", detail);
            findings.ok("tls", secure());
            check_clock(&response, before, after, findings);
            return true;
        }
        Err(error) => error,
    };
    let text = with_causes(&error);
    if error.kind() == TransportErrorKind::Tls {
        findings.ok("connection", format!("{host} port {} is open", way.port));
        findings.fail(
            "tls",
            text,
            "if a proxy of your company inspects TLS, add the company's certificate authority to \
             this machine's, or name a PEM file that has it in SSL_CERT_FILE",
        );
    } else {
        findings.fail(
            "connection",
            text,
            "see if the proxy or the firewall permits this host; box-tail keeps trying, so a \
             failure that passes does no harm",
        );
        findings.skip("tls", "there is no connection");
    }
    findings.skip("clock", "there is no response");
    false
}

async fn probe(origin: &str, transport: &Transport) -> Result<Response<Bytes>, TransportError> {
    let request = Request::get(format!("{origin}/")).body(Bytes::new());
    let request = request
        .map_err(|error| TransportError::with_source(TransportErrorKind::InvalidRequest, error))?;
    let request = TransportRequest::new(request, REQUEST_TIMEOUT, MAX_BODY);
    let response = timeout(REQUEST_TIMEOUT, transport.send(request)).await;
    response.unwrap_or_else(|_| Err(TransportError::new(TransportErrorKind::Timeout)))
}

/// Compares the clock of this machine with the time at which the response was sent.
fn check_clock(response: &Response<Bytes>, before: Moment, after: Moment, findings: &mut Findings) {
    const CHECK: &str = "clock";
    let date = response.headers().get(DATE);
    let date = date.and_then(|date| {
        DateTimeParser::new()
            .parse_timestamp(date.to_str().ok()?)
            .ok()
    });
    let wall = |moment: Moment| Timestamp::try_from(moment.wall).ok();
    let (Some(date), Some(before), Some(after)) = (date, wall(before), wall(after)) else {
        let remedy = "compare the clock of this machine with another one";
        return findings.warn(CHECK, "not known: the response has no date", remedy);
    };
    // The date has no fraction of a second.
    let latest = date + SignedDuration::from_secs(1);
    let skew = if latest < before {
        latest.duration_since(before)
    } else {
        date.duration_since(after).max(SignedDuration::ZERO)
    };
    let seconds = skew.as_secs().abs();
    if skew.abs() < MAX_SKEW {
        return findings.ok(CHECK, format!("within {} s of Box's clock", seconds + 1));
    }
    let side = if skew.is_positive() {
        "behind"
    } else {
        "ahead of"
    };
    findings.warn(
        CHECK,
        format!(
            "{seconds} s {side} Box's clock: the client corrects signed requests for tokens, but \
             `--since 2h` and the ages in reports are wrong, and certificates may seem out of date"
        ),
        "set the clock, or have NTP set it (timedatectl set-ntp true)",
    );
}

/// Checks that a realtime host can be reached. Returns `true` if it can.
pub(super) async fn check_realtime_host(
    host: &str,
    backend: Option<Backend>,
    findings: &mut Findings,
) -> bool {
    let way = Way::to_host(host, backend);
    if way.is_loopback {
        // Only a fake Box is there, and its port is not known.
        return true;
    }
    check_name("poll-dns", &way, findings).await && check_port("poll", &way, findings).await
}
