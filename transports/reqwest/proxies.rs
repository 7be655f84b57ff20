//! Proxies that reqwest can't use, and the reasons why a proxy refused a connection.
//!
//! reqwest ignores a variable such as `HTTPS_PROXY` if it holds no proxy's URL, and then bypasses
//! the proxy. [`IgnoredVariables`] turns that into an error. When a request fails, [`verdict`]
//! reads the error's causes, and [`refusal`] learns the status of the proxy, which reqwest does not
//! report.

use std::env;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::transport::TransportError;
use crate::transports::proxy::{PROBE_TIMEOUT, ProxyFailure, ProxyProbe, unusable};

/// The maximum length of the first line of a response to `CONNECT`, in bytes. The status stands in
/// its first 12 bytes.
const MAX_STATUS_LINE: usize = 64;

/// The environment variables that reqwest ignores because they hold no proxy's URL.
///
/// Without this check, requests would bypass the proxy.
#[derive(Clone)]
pub(super) struct IgnoredVariables {
    /// The variable that should name the proxy for `http`, if it is unusable.
    http: Option<&'static str>,
    /// The variable that should name the proxy for `https`, if it is unusable.
    https: Option<&'static str>,
    /// A matcher with a proxy for each host that `NO_PROXY` does not name.
    not_exempt: Arc<Matcher>,
}

impl IgnoredVariables {
    /// Reads the environment. Returns `None` if reqwest can use all proxies in it.
    pub(super) fn find() -> Option<Self> {
        // reqwest treats the program as a CGI program, whose variables come from a request.
        if env::var_os("REQUEST_METHOD").is_some() {
            return None;
        }
        let all = ["ALL_PROXY", "all_proxy"];
        let http = unusable_variable([["HTTP_PROXY", "http_proxy"], all]);
        let https = unusable_variable([["HTTPS_PROXY", "https_proxy"], all]);
        http.or(https)?;
        let exempt = env::var("NO_PROXY").or_else(|_| env::var("no_proxy"));
        let not_exempt = Matcher::builder()
            .all("http://proxy")
            .no(exempt.unwrap_or_default())
            .build();
        Some(Self {
            http,
            https,
            not_exempt: not_exempt.into(),
        })
    }

    /// Returns the error of a request to this URL, if it would bypass the proxy.
    pub(super) fn error_for(&self, url: &url::Url) -> Option<TransportError> {
        let variable = match url.scheme() {
            "http" => self.http,
            _ => self.https,
        }?;
        let url = url.as_str().parse::<Uri>().ok()?;
        self.not_exempt.intercept(&url)?;
        Some(unusable(format!(
            "{variable} holds no proxy's URL: correct it to http://USER:PASSWORD@HOST:PORT, where \
             special characters are percent-encoded, or unset it"
        )))
    }
}

/// Returns the variable that decides, if it names no proxy.
///
/// In each pair, the first variable that is set counts. The second pair counts only if the first
/// one is unset or empty.
fn unusable_variable(pairs: [[&'static str; 2]; 2]) -> Option<&'static str> {
    let (name, value) = pairs.into_iter().find_map(|names| {
        let set = |name| Some((name, env::var_os(name)?));
        let (name, value) = names.into_iter().find_map(set)?;
        (!value.is_empty()).then_some((name, value))
    })?;
    let usable = value.to_str().is_some_and(names_a_proxy);
    (!usable).then_some(name)
}

/// Returns `true` if reqwest reads the complete text as a proxy's URL.
///
/// reqwest ends the host at a `/`, `?` or `#`, and the password at an `@`. A password that contains
/// one of them is misread unless they are percent-encoded.
fn names_a_proxy(value: &str) -> bool {
    let matcher = Matcher::builder().all(value).build();
    let proxy = matcher.intercept(&Uri::from_static("http://box"));
    proxy.is_some_and(|proxy| {
        let has_user = proxy.basic_auth().is_some() || proxy.raw_auth().is_some();
        value.matches('@').count() == usize::from(has_user)
    })
}

/// The role of a proxy in an error, according to the causes of the error.
pub(super) enum Verdict {
    /// The proxy provides no connection.
    Failed(ProxyFailure),
    /// The certificate of the proxy is not trusted.
    Tls,
    /// The proxy is a SOCKS proxy, and reqwest is built without SOCKS.
    NoSocks,
    /// The proxy is a SOCKS proxy, and this machine cannot resolve the name of Box's host.
    UnknownHost,
}

/// Returns the role of a proxy in an error, or `None` if no proxy failed.
///
/// This reads the texts of the causes, because reqwest has no other means. The tests against real
/// proxies prove the texts.
pub(super) fn verdict<'a>(
    causes: impl Iterator<Item = &'a (dyn StdError + 'static)>,
) -> Option<Verdict> {
    let mut causes = causes.map(|cause| (cause.to_string(), cause));
    let (text, _) = causes.find(|(text, _)| {
        [
            "tunnel error: ",
            "error connecting to socks",
            "error resolving for socks",
        ]
        .iter()
        .any(|beginning| text.starts_with(beginning))
    })?;
    let below = causes.collect::<Vec<_>>();
    let says =
        |part: &str| text.contains(part) || below.iter().any(|(text, _)| text.contains(part));
    Some(if text.starts_with("error resolving") {
        Verdict::UnknownHost
    } else if says("unsupported scheme socks") {
        Verdict::NoSocks
    } else if says("failed to create underlying connection") {
        let is_of_tls = says("invalid peer certificate") || says("certificate verify failed");
        if is_of_tls {
            Verdict::Tls
        } else {
            Verdict::Failed(ProxyFailure::Unreachable)
        }
    } else if text.starts_with("error connecting") {
        let is_of_password = ["credentials not accepted", "authentication"];
        Verdict::Failed(if is_of_password.into_iter().any(says) {
            ProxyFailure::SocksPassword
        } else {
            ProxyFailure::SocksRefused
        })
    } else if says("authorization required") {
        Verdict::Failed(ProxyFailure::Refused(407))
    } else if says("unsuccessful") {
        Verdict::Failed(ProxyFailure::RefusedWithUnknownStatus)
    } else {
        Verdict::Failed(ProxyFailure::NoHttpProxy)
    })
}

/// Returns `true` if the environment has a SOCKS proxy for this host.
///
/// With its feature `socks`, reqwest sends no `CONNECT` to such a proxy. Without the feature, and
/// with native TLS, it does.
pub(super) fn is_socks(target: &Uri) -> bool {
    let proxy = Matcher::from_system().intercept(target);
    let scheme = proxy.as_ref().and_then(|proxy| proxy.uri().scheme_str());
    scheme.is_some_and(|scheme| scheme.starts_with("socks"))
}

/// Learns the status with which the environment's proxy refuses a host. reqwest reports no status
/// but 407.
pub(super) async fn refusal(target: Uri) -> ProxyFailure {
    let Some(_probe) = ProxyProbe::begin() else {
        return ProxyFailure::RefusedWithUnknownStatus;
    };
    match tokio::time::timeout(PROBE_TIMEOUT, status(&target)).await {
        Ok(Ok(Some(status))) => ProxyFailure::Refused(status),
        Ok(Ok(None)) => ProxyFailure::NoHttpProxy,
        // The proxy connects now, it cannot be reached now, or the connection to it needs TLS.
        Ok(Err(_)) | Err(_) => ProxyFailure::RefusedWithUnknownStatus,
    }
}

/// Returns the status with which the environment's proxy refuses a host. Returns `None` if its
/// response has no status, and an error if it connects or cannot be probed.
async fn status(target: &Uri) -> io::Result<Option<u16>> {
    let unknown = || io::Error::from(io::ErrorKind::Unsupported);
    let proxy = Matcher::from_system()
        .intercept(target)
        .ok_or_else(unknown)?;
    let (Some("http"), Some(host), Some(name)) =
        (proxy.uri().scheme_str(), proxy.uri().host(), target.host())
    else {
        return Err(unknown());
    };
    let host = host.trim_matches(['[', ']']);
    let mut connection = TcpStream::connect((host, proxy.uri().port_u16().unwrap_or(80))).await?;
    let port = target.port_u16().unwrap_or(443);
    let mut request =
        format!("CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n").into_bytes();
    if let Some(password) = proxy.basic_auth() {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(password.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    connection.write_all(&request).await?;
    let mut line = Vec::with_capacity(MAX_STATUS_LINE);
    while line.len() < MAX_STATUS_LINE && !line.contains(&b'\n') {
        if connection.read_buf(&mut line).await? == 0 {
            break;
        }
    }
    let status = String::from_utf8_lossy(&line)
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5)?.parse::<u16>().ok());
    match status {
        Some(200..300) => Err(unknown()),
        status => Ok(status),
    }
}
