//! The reasons why the environment's proxy provides no connection, which isahc does not report.
//!
//! isahc passes on curl's code, but neither the proxy's status nor curl's text. After a failure
//! that the proxy may have caused, [`probe`] connects once more with curl itself, and reads both.
//! It sends no request.

use std::env;

use curl::easy::{Easy, SslOpt};
use http::Uri;

use crate::sys::blocking_thread;
use crate::transport::TransportError;
use crate::transports::proxy::{PROBE_TIMEOUT, ProxyFailure, ProxyProbe, unusable};

/// curl's error code of a failed SOCKS proxy (`CURLE_PROXY`). It is an `i64` here because the type
/// of the codes differs on Windows.
const SOCKS_FAILED: i64 = 97;

/// Classifies a failure by curl's code alone. Returns `None` if the failure may not be a proxy's.
pub(super) fn failure_of(error: &curl::Error) -> Option<ProxyFailure> {
    if error.is_couldnt_resolve_proxy() {
        Some(ProxyFailure::Unreachable)
    } else if i64::from(error.code()) == SOCKS_FAILED {
        Some(ProxyFailure::SocksRefused)
    } else {
        None
    }
}

/// Returns `true` if curl finds a proxy for such a URL in the environment, unless `NO_PROXY` names
/// its host.
pub(super) fn are_named(target: &Uri) -> bool {
    let names: &[_] = if target.scheme_str() == Some("https") {
        &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    } else {
        &["http_proxy", "all_proxy", "ALL_PROXY"]
    };
    let mut values = names.iter().filter_map(env::var_os);
    values.any(|value| !value.is_empty())
}

/// Learns why the environment's proxy does not connect to a host. Returns `None` if the proxy did
/// not fail, or if another probe is running.
pub(super) async fn probe(target: &Uri) -> Option<Result<ProxyFailure, TransportError>> {
    let permit = ProxyProbe::begin()?;
    let origin = format!("{}://{}/", target.scheme_str()?, target.authority()?);
    let failure = blocking_thread::spawn_blocking("box-longpoll-proxy", move || {
        let _permit = permit;
        connect(&origin)
    });
    failure.await.ok()?
}

/// Connects to a host through the environment's proxy. Returns `None` if that succeeds, or if no
/// proxy failed.
fn connect(origin: &str) -> Option<Result<ProxyFailure, TransportError>> {
    let mut curl = Easy::new();
    curl.url(origin).ok()?;
    curl.connect_only(true).ok()?;
    curl.timeout(PROBE_TIMEOUT).ok()?;
    // This is for the certificate of the host. isahc accepts either no certificate of a proxy, or
    // any.
    curl.ssl_options(SslOpt::new().native_ca(true)).ok()?;
    let error = curl.perform().err()?;
    let status = curl.http_connectcode().ok()?;
    if status != 0 && !(200..300).contains(&status) {
        return Some(Ok(ProxyFailure::Refused(status.try_into().ok()?)));
    }
    // The text may contain the proxy's URL and password, so it is never shown.
    let text = error.extra_description().unwrap_or_default();
    let says = |part| text.contains(part);
    Some(Ok(if says("Unsupported proxy") {
        return Some(Err(unusable(
            "the environment holds no proxy's URL: correct HTTPS_PROXY or ALL_PROXY to \
             http://USER:PASSWORD@HOST:PORT, where special characters are percent-encoded, or unset \
             it",
        )));
    } else if says("no server certificate verifier") {
        return Some(Err(unusable(
            "isahc cannot verify the certificate of a proxy with TLS: name an http:// proxy",
        )));
    } else if says("rejected by the SOCKS") || says("No authentication method") {
        ProxyFailure::SocksPassword
    } else if says("over proxy") {
        ProxyFailure::Unreachable
    } else if says("Proxy CONNECT aborted") {
        ProxyFailure::NoHttpProxy
    } else {
        failure_of(&error)?
    }))
}
