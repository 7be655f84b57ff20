//! A fake Box, and the settings of a client for it.
//!
//! Other test programs include this file. Start at [`fake_box`] and [`builder`].

use std::sync::Arc;
use std::time::Duration;

use box_longpoll::config::{RealtimeHosts, RetryPolicy};
use box_longpoll::{LongPollClient, LongPollClientBuilder};
use box_longpoll_testkit::{EmulatorServer, Settings};

/// The access token of every test. It is also the name of the account.
pub(crate) const TOKEN: &str = "token-of-the-test";

/// The longest time that a test waits for something: a minute, for slow machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a fake Box with changed settings.
pub(crate) fn fake_box(change: impl FnOnce(&mut Settings)) -> Arc<EmulatorServer> {
    let mut settings = Settings::default();
    change(&mut settings);
    Arc::new(EmulatorServer::start_with(settings))
}

/// Returns the default settings of a client, but with short pauses before a retry.
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
