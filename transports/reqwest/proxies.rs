//! The proxies of reqwest: which it can't use, and how one refused.

use std::env;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::transport::TransportError;
use crate::transports::proxy::{ProxyFailure, QUESTION_TIMEOUT, Question, unusable};

/// Long enough for the first line of a response to `CONNECT`.
const FIRST_LINE: usize = 64;

/// The environment variables that are set and that reqwest passes over, because they hold no proxy's URL.
///
/// Without this, requests would go past the proxy.
#[derive(Clone)]
pub(super) struct PassedOver {
    http: Option<&'static str>,
    https: Option<&'static str>,
    /// Finds a proxy for each host that `NO_PROXY` does not name.
    not_exempt: Arc<Matcher>,
}

impl PassedOver {
    /// Looks at the environment. `None`: reqwest can use all there is.
    pub(super) fn find() -> Option<Self> {
        // reqwest takes it for a program that a web server runs, whose variables come from a request.
        if env::var_os("REQUEST_METHOD").is_some() {
            return None;
        }
        let all = ["ALL_PROXY", "all_proxy"];
        let http = unusable_of([["HTTP_PROXY", "http_proxy"], all]);
        let https = unusable_of([["HTTPS_PROXY", "https_proxy"], all]);
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

    /// The error of a request that should have gone through the proxy.
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

/// The variable that decides, if it names no proxy. Each of the pairs counts only if the one before it is unset or empty;
/// the first of a pair that is set counts.
fn unusable_of(pairs: [[&'static str; 2]; 2]) -> Option<&'static str> {
    let (name, value) = pairs.into_iter().find_map(|names| {
        let set = |name| Some((name, env::var_os(name)?));
        let (name, value) = names.into_iter().find_map(set)?;
        (!value.is_empty()).then_some((name, value))
    })?;
    let usable = value.to_str().is_some_and(names_a_proxy);
    (!usable).then_some(name)
}

/// Returns `true` if reqwest takes all of the text for a proxy's URL.
///
/// It ends the host at a `/`, `?` or `#`, and the password at an `@`, though these may be a password's own.
fn names_a_proxy(value: &str) -> bool {
    let matcher = Matcher::builder().all(value).build();
    let proxy = matcher.intercept(&Uri::from_static("http://box"));
    proxy.is_some_and(|proxy| {
        let has_user = proxy.basic_auth().is_some() || proxy.raw_auth().is_some();
        value.matches('@').count() == usize::from(has_user)
    })
}

/// The part of a proxy in an error, as its causes tell it.
pub(super) enum Verdict {
    /// It gives no connection.
    Failed(ProxyFailure),
    /// Its certificate is not trusted.
    Tls,
    /// It is a SOCKS proxy, and reqwest is built without.
    NoSocks,
    /// It is a SOCKS proxy, and this machine does not know the name of Box's host.
    UnknownHost,
}

/// Reads the causes' texts: reqwest has no other way to tell. The tests against real proxies show what they are.
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
        Verdict::Failed(ProxyFailure::RefusedSomehow)
    } else {
        Verdict::Failed(ProxyFailure::NoHttpProxy)
    })
}

/// Returns `true` if the environment has a SOCKS proxy for this host.
///
/// With reqwest's `socks` such a proxy is sent no `CONNECT`. Without it, and with native TLS, one is.
pub(super) fn is_socks(target: &Uri) -> bool {
    let proxy = Matcher::from_system().intercept(target);
    let scheme = proxy.as_ref().and_then(|proxy| proxy.uri().scheme_str());
    scheme.is_some_and(|scheme| scheme.starts_with("socks"))
}

/// Learns how the environment's proxy refuses a host, since reqwest tells no status but 407.
pub(super) async fn refusal(target: Uri) -> ProxyFailure {
    let Some(_one_at_a_time) = Question::begin() else {
        return ProxyFailure::RefusedSomehow;
    };
    match tokio::time::timeout(QUESTION_TIMEOUT, status(&target)).await {
        Ok(Ok(Some(status))) => ProxyFailure::Refused(status),
        Ok(Ok(None)) => ProxyFailure::NoHttpProxy,
        // It connects now, it is out of reach now, or its own connection has TLS.
        Ok(Err(_)) | Err(_) => ProxyFailure::RefusedSomehow,
    }
}

/// The status of the environment's proxy, if that is not a success. `None`: it has none.
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
    let mut line = Vec::with_capacity(FIRST_LINE);
    while line.len() < FIRST_LINE && !line.contains(&b'\n') {
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
