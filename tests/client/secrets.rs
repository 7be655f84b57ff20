//! The servers that get the token. `tests/secrets` proves that no output shows it or the realtime
//! channel.

use crate::world::{client, fake_box, follow_until, holds, listening};

#[tokio::test]
async fn the_token_never_reaches_the_realtime_servers() {
    let server = fake_box(|settings| settings.hold_ms = 20);
    let mut batches = listening(&server, &client(&server)).await;
    let polled = holds(&server, |emulator| {
        emulator.counters().realtime.requests > 5
    });
    follow_until(&mut batches, polled).await;
    let counters = server.counters();
    assert_eq!(counters.realtime.with_authorization, 0);
    assert_eq!(counters.events.with_authorization, counters.events.requests);
    assert_eq!(
        counters.options.with_authorization,
        counters.options.requests
    );
}
