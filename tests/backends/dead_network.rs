//! A network that dies silently while a poll is held: the fault X11.
//!
//! The test needs its own network namespace. `.ci/dead-network` makes one and runs the test.

use std::process::Command;
use std::time::Duration;

use box_longpoll::{AccessToken, HttpTransport as _, StartAt};
use futures_lite::future::or;
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::{TOKEN, builder, fake_box};

/// Runs a command of nftables.
fn nft(rule: &str) {
    let done = Command::new("nft").args(rule.split(' ')).status();
    assert!(done.expect("nftables is installed").success(), "{rule}");
}

/// An nftables firewall that can drop all packets of the existing connections. New connections
/// work.
struct DeadNetwork;

impl DeadNetwork {
    /// Starts to mark new connections.
    fn prepare() -> Self {
        nft("add table inet box");
        nft("add chain inet box in { type filter hook input priority 0; }");
        nft("add rule inet box in ct state new ct mark set 1");
        Self
    }

    /// Returns `true` if all sent data is acknowledged. With unacknowledged data, the kernel would
    /// resend it instead of sending keep-alive probes.
    fn is_quiet() -> bool {
        let sockets = Command::new("ss").args(["-Htn"]).output();
        let sockets = String::from_utf8(sockets.expect("iproute2 is installed").stdout);
        let has_unacknowledged = |line: &str| line.split_whitespace().nth(2) != Some("0");
        !sockets
            .expect("ss prints UTF-8")
            .lines()
            .any(has_unacknowledged)
    }

    /// Drops all packets of the marked connections from now on.
    fn begin() {
        nft("flush chain inet box in");
        nft("add rule inet box in ct mark 1 drop");
    }
}

impl Drop for DeadNetwork {
    fn drop(&mut self) {
        nft("delete table inet box");
    }
}

/// Proves that a stream delivers a new event within `most` seconds after its connection died.
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest, 75))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf, 75))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc, 85))]
#[ignore = "needs a network namespace and some minutes: run .ci/dead-network"]
fn x11_a_dead_network_is_noticed(#[case] backend: Backend, #[case] most: u64) {
    let server = fake_box(|settings| settings.hold_ms = 3_600_000);
    let _network = DeadNetwork::prepare();
    let transport = backend.transport();
    let token = AccessToken::new(TOKEN).unwrap();
    let client = builder(&server)
        .max_hold(Duration::from_secs(170))
        .build(transport.clone(), token)
        .unwrap();
    backend.runtime().block_on(async {
        let mut events = client.events(StartAt::Now);
        while server.emulator().counters().open_polls == 0 || !DeadNetwork::is_quiet() {
            let a_moment = async {
                transport.sleep(Duration::from_millis(10)).await.unwrap();
                None
            };
            assert!(or(events.next(), a_moment).await.is_none());
        }

        DeadNetwork::begin();
        server.append(TOKEN, 1);
        let begun = transport.now().monotonic;
        let event = events.next().await.expect("the stream continues").unwrap();
        let took = transport.now().monotonic - begun;
        assert_eq!(event.id().map(str::to_owned), server.event_ids(TOKEN).pop());
        println!("{backend:?}: {took:?}");
        assert!(took < Duration::from_secs(most), "{took:?}");
    });
}
