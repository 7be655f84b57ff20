//! The paths of the server: the page, its feed, the metrics and the health checks.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::sse::Sse;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use box_longpoll::StreamHandle;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::board::Board;
use super::feed::Feed;
use super::health::{Live, Ready};
use super::host::{HostName, is_trusted};
use super::recorder::Metrics;
use crate::pulse::Pulse;

/// The number of readers of the page at the same time. Other requests have more connections than
/// that, so that open pages do not keep a scraper away.
const READERS: usize = 16;

/// The headers of each response. The page loads nothing from elsewhere, and runs no script but its
/// own.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src \
             data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'",
        ),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// All that the paths show.
pub(super) struct Site {
    pub(super) started: Timestamp,
    pub(super) account: String,
    pub(super) handle: StreamHandle,
    pub(super) pulse: Arc<Pulse>,
    pub(super) hosts: Vec<HostName>,
    pub(super) metrics: Metrics,
    pub(super) board: Arc<Board>,
}

/// Returns the service for all paths.
pub(super) fn router(site: Arc<Site>) -> Router {
    let readers = Arc::new(Semaphore::new(READERS));
    let feed = move |State(site): State<Arc<Site>>, headers: HeaderMap| async move {
        // Another website could not read the feed, but it could take all readers' places.
        let from = headers.get("sec-fetch-site");
        if from.is_some_and(|from| from != "same-origin" && from != "none") {
            return StatusCode::FORBIDDEN.into_response();
        }
        let Ok(permit) = readers.try_acquire_owned() else {
            return (StatusCode::SERVICE_UNAVAILABLE, "too many readers").into_response();
        };
        Sse::new(Feed::of(site, permit)).into_response()
    };
    let page = Router::new()
        .route(
            "/",
            get(async || file("text/html", include_str!("page/page.html"))),
        )
        .route("/events", get(feed))
        .layer(from_fn_with_state(site.clone(), only_trusted_hosts));
    Router::new()
        .merge(page)
        .route(
            "/page.css",
            get(async || file("text/css", include_str!("page/page.css"))),
        )
        .route(
            "/page.js",
            get(async || file("text/javascript", include_str!("page/page.js"))),
        )
        .route("/metrics", get(metrics))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .layer(from_fn(with_headers))
        .with_state(site)
}

/// Returns a file of the page.
fn file(media_type: &str, text: &'static str) -> impl IntoResponse {
    let content_type = format!("{media_type}; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], text)
}

async fn metrics(State(site): State<Arc<Site>>) -> impl IntoResponse {
    let text = site.metrics.render(&site.handle.statistics());
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], text)
}

async fn live(State(site): State<Arc<Site>>) -> impl IntoResponse {
    let live = Live::of(&site);
    health(live.live, live)
}

async fn ready(State(site): State<Arc<Site>>) -> impl IntoResponse {
    let ready = Ready::of(&site);
    health(ready.ready, ready)
}

fn health(is_ok: bool, body: impl Serialize) -> impl IntoResponse {
    let status = if is_ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (status, content_type, json(&body))
}

/// Returns a value as JSON, on one line.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("its keys are texts")
}

/// Refuses a request for the page by a name that is not trusted, or from another website.
async fn only_trusted_hosts(
    State(site): State<Arc<Site>>,
    request: Request,
    next: Next,
) -> Response {
    if !is_trusted(request.uri(), request.headers(), &site.hosts) {
        let text = "this page is served under an IP address, localhost, and the names in \
                    --metrics-host\n";
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    next.run(request).await
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().extend(HEADERS);
    response
}
