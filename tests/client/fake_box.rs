//! A fake Box, and the settings to follow it with.

use std::sync::Arc;
use std::time::Duration;

use box_longpoll::config::{RealtimeHosts, RetryPolicy};
use box_longpoll::{LongPollClient, LongPollClientBuilder};
use box_longpoll_testkit::{EmulatorServer, Settings};

/// The token of every test, and so the name of its account.
pub(crate) const TOKEN: &str = "token-of-the-test";

/// Long enough for the slowest machine; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn fake_box(change: impl FnOnce(&mut Settings)) -> Arc<EmulatorServer> {
    let mut settings = Settings::default();
    change(&mut settings);
    Arc::new(EmulatorServer::start_with(settings))
}

/// As the defaults, but quick to retry.
pub(crate) fn builder(server: &EmulatorServer) -> LongPollClientBuilder {
    let millis = Duration::from_millis;
    LongPollClient::builder()
        .api_origin(server.origin())
        .realtime_hosts(RealtimeHosts::default().allow_loopback())
        .retry(
            RetryPolicy::default()
                .first(millis(10))
                .longest(millis(100))
                .degraded_interval(millis(100)),
        )
}
