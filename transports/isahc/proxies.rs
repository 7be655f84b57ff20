//! How the environment's proxy fails, which isahc does not tell.
//!
//! isahc gives curl's code and neither the proxy's status nor curl's text. After a failure that may be the proxy's, curl
//! connects once more by itself, and says how that went. It sends no request.

use std::env;

use curl::easy::{Easy, SslOpt};
use http::Uri;

use crate::sys::blocking_thread;
use crate::transport::TransportError;
use crate::transports::proxy::{ProxyFailure, QUESTION_TIMEOUT, Question, unusable};

/// curl's code of a SOCKS proxy that fails. The code's type is another on Windows.
const SOCKS_FAILED: i64 = 97;

/// Classifies a failure by curl's code alone. `None`: it may be another's than a proxy's.
pub(super) fn known(error: &curl::Error) -> Option<ProxyFailure> {
    if error.is_couldnt_resolve_proxy() {
        Some(ProxyFailure::Unreachable)
    } else if i64::from(error.code()) == SOCKS_FAILED {
        Some(ProxyFailure::SocksRefused)
    } else {
        None
    }
}

/// Returns `true` if curl finds a proxy for such a URL in the environment, unless `NO_PROXY` names its host.
pub(super) fn are_named(target: &Uri) -> bool {
    let names: &[_] = if target.scheme_str() == Some("https") {
        &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    } else {
        &["http_proxy", "all_proxy", "ALL_PROXY"]
    };
    let mut values = names.iter().filter_map(env::var_os);
    values.any(|value| !value.is_empty())
}

/// Learns how the environment's proxy fails to connect to a host. `None`: no proxy's failure, or another question is under
/// way.
pub(super) async fn ask(target: &Uri) -> Option<Result<ProxyFailure, TransportError>> {
    let one_at_a_time = Question::begin()?;
    let origin = format!("{}://{}/", target.scheme_str()?, target.authority()?);
    let asked = blocking_thread::run("box-longpoll-proxy", move || {
        let _until_the_end = one_at_a_time;
        connect(&origin)
    });
    asked.await.ok()?
}

fn connect(origin: &str) -> Option<Result<ProxyFailure, TransportError>> {
    let mut curl = Easy::new();
    curl.url(origin).ok()?;
    curl.connect_only(true).ok()?;
    curl.timeout(QUESTION_TIMEOUT).ok()?;
    // For the host, and not for the proxy: there isahc verifies none, or every one.
    curl.ssl_options(SslOpt::new().native_ca(true)).ok()?;
    let error = curl.perform().err()?;
    let status = curl.http_connectcode().ok()?;
    if status != 0 && !(200..300).contains(&status) {
        return Some(Ok(ProxyFailure::Refused(status.try_into().ok()?)));
    }
    // It may hold the proxy's URL, and so a password: it is read, and not shown.
    let text = error.extra_description().unwrap_or_default();
    let says = |part| text.contains(part);
    Some(Ok(if says("Unsupported proxy") {
        return Some(Err(unusable(
            "the environment holds no proxy's URL: correct HTTPS_PROXY or ALL_PROXY to \
             http://USER:PASSWORD@HOST:PORT, where special characters are percent-encoded, or unset it",
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
        known(&error)?
    }))
}
