//! The client behind a proxy, in a process of its own, whose environment names the proxy.

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

/// The test that is the client's process.
pub(crate) const TEST: &str = "proxies::client::a_process_that_follows_from_behind_a_proxy";

/// The environment variables that tell it which backend to use, where the API is, and the realtime host.
pub(crate) const BACKEND: &str = "BOX_LONGPOLL_TEST_BACKEND";
pub(crate) const ORIGIN: &str = "BOX_LONGPOLL_TEST_ORIGIN";
pub(crate) const HOST: &str = "BOX_LONGPOLL_TEST_HOST";

fn backend() -> Backend {
    let name = env::var(BACKEND).expect("it is run by another test");
    let all = [
        #[cfg(feature = "reqwest")]
        Backend::Reqwest,
        #[cfg(feature = "surf")]
        Backend::Surf,
        #[cfg(feature = "isahc")]
        Backend::Isahc,
    ];
    let mut named = all.into_iter().filter(|one| format!("{one:?}") == name);
    named.next().expect("a backend")
}

#[test]
#[ignore = "is run by another test, as a process of its own"]
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
        let (mut came, mut before) = (0, String::new());
        while transport.now().monotonic - begun < PATIENCE {
            let a_moment = async {
                transport.sleep(millis(10)).await.unwrap();
                None
            };
            match or(async { Some(events.next().await) }, a_moment).await {
                Some(Some(Ok(_))) => {
                    came += 1;
                    println!("{SAYS}event {came}");
                }
                Some(Some(Err(stop))) => return println!("{SAYS}stopped {}", told(&stop)),
                Some(None) => return,
                None => {}
            }
            let now = match events.status() {
                Status::Listening { .. } => "listening".to_owned(),
                Status::Retrying { because, .. } | Status::Degraded { because, .. } => {
                    format!("retrying {}", told(&because))
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

/// The transport error's kind, the text, and all that the causes show, on one line.
fn told(error: &Error) -> String {
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
