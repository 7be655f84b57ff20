//! The client behind a proxy, in its own process, because the environment names the proxy.

use std::env;
use std::error::Error as _;
use std::time::Duration;

use box_longpoll::config::{RealtimeHosts, RetryPolicy};
use box_longpoll::transport::TransportError;
use box_longpoll::{AccessToken, Error, LongPollClient, StartAt, Status};
use futures_lite::future::or;

use super::processes::SAYS;
use crate::backend::Backend;
use crate::fake_box::{PATIENCE, TOKEN};

/// The name of the test that runs as the client's process.
pub(crate) const TEST: &str = "proxies::client::a_process_that_follows_from_behind_a_proxy";

/// The environment variable with the name of the backend.
pub(crate) const BACKEND: &str = "BOX_LONGPOLL_TEST_BACKEND";
/// The environment variable with the origin of the API.
pub(crate) const ORIGIN: &str = "BOX_LONGPOLL_TEST_ORIGIN";
/// The environment variable with the host of the realtime server.
pub(crate) const HOST: &str = "BOX_LONGPOLL_TEST_HOST";

/// Returns the backend that the environment names.
fn backend() -> Backend {
    let name = env::var(BACKEND).expect("another test runs this one and sets the variable");
    let all = [
        #[cfg(feature = "reqwest")]
        Backend::Reqwest,
        #[cfg(feature = "surf")]
        Backend::Surf,
        #[cfg(feature = "isahc")]
        Backend::Isahc,
    ];
    let mut named = all.into_iter().filter(|one| format!("{one:?}") == name);
    named
        .next()
        .expect("the variable names a backend of this build")
}

#[test]
#[ignore = "another test runs it, in its own process"]
fn a_process_that_follows_from_behind_a_proxy() {
    let backend = backend();
    let transport = backend.transport();
    let millis = Duration::from_millis;
    let client = LongPollClient::builder()
        .api_origin(env::var(ORIGIN).unwrap())
        .realtime_hosts(RealtimeHosts::default().allow(env::var(HOST).unwrap()))
        .retry(
            RetryPolicy::default()
                .first(millis(10))
                .longest(millis(100))
                .degraded_interval(millis(100)),
        )
        .build(transport.clone(), AccessToken::new(TOKEN).unwrap())
        .unwrap();
    backend.runtime().block_on(async {
        let begun = transport.now().monotonic;
        let mut events = client.events(StartAt::Oldest);
        let (mut received, mut before) = (0, String::new());
        while transport.now().monotonic - begun < PATIENCE {
            let a_moment = async {
                transport.sleep(millis(10)).await.unwrap();
                None
            };
            match or(async { Some(events.next().await) }, a_moment).await {
                Some(Some(Ok(_))) => {
                    received += 1;
                    println!("{SAYS}event {received}");
                }
                Some(Some(Err(stop))) => return println!("{SAYS}stopped {}", describe(&stop)),
                Some(None) => return,
                None => {}
            }
            let now = match events.status() {
                Status::Listening { .. } => "listening".to_owned(),
                Status::Retrying { because, .. } | Status::Degraded { because, .. } => {
                    format!("retrying {}", describe(&because))
                }
                _ => continue,
            };
            if now != before {
                println!("{SAYS}{now}");
                before = now;
            }
        }
    });
}

/// Returns the kind of the transport error, the message, and the `Display` and `Debug` texts of all
/// causes, on one line.
fn describe(error: &Error) -> String {
    let transport: Option<&TransportError> = error.source().and_then(|cause| cause.downcast_ref());
    let mut causes = format!("{error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        causes += &format!(" <- {error} {error:?}");
        cause = error.source();
    }
    let kind = transport.map(TransportError::kind);
    let chain = error.display_chain();
    format!("{kind:?}: {chain} | {causes}").replace('\n', " ")
}
