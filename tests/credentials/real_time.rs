//! The test of `lifetimes` with the machine's own clock. It takes 17 minutes for all grants side by
//! side.
//!
//! ```sh
//! cargo test --release --features full --test credentials -- --ignored --nocapture real_time
//! ```

use std::env;
use std::time::{Duration, Instant};

use box_longpoll::auth::{Credential, CredentialFile, JwtAlgorithm, RefreshToken};
use box_longpoll::transport::Moment;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{HttpTransport as _, StartAt};
use box_longpoll_testkit::Endpoint;
use tokio::time::timeout;

use crate::grants::Grant;
use crate::sockets::{builder, fake_box};
use crate::world::{CLIENT_ID, SECRET, USER};

const LIFETIME: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes 17 minutes for 200 lifetimes; CREDENTIALS_LIFETIMES sets another number"]
async fn stream_loses_and_repeats_nothing_over_200_token_lifetimes() {
    let lifetimes = env::var("CREDENTIALS_LIFETIMES").map_or(200, |text| text.parse().unwrap());
    let grants = [
        Grant::ServiceAccount,
        Grant::User,
        Grant::RefreshToken,
        Grant::Jwt(JwtAlgorithm::Rs256),
    ];
    let followed = grants.map(|grant| tokio::spawn(follow(grant, lifetimes)));
    for followed in followed {
        followed.await.unwrap();
    }
}

async fn follow(grant: Grant, lifetimes: u32) {
    let server = fake_box();
    server.change_settings(|settings| {
        settings.token_lifetime_ms = 5_000;
    });
    let directory = tempfile::tempdir().unwrap();
    let transport = ReqwestTransport::new().unwrap();
    let authorized = server.grant_refresh_token(CLIENT_ID, USER);
    let tokens = match grant {
        Grant::RefreshToken => {
            let credential = Credential::new(authorized).unwrap();
            let file = directory.path().join("credential");
            let file = CredentialFile::create(file, &credential).unwrap();
            let grant = RefreshToken::new(CLIENT_ID, SECRET, file).api_origin(server.origin());
            grant.tokens(transport.clone()).unwrap()
        }
        grant => grant.tokens(server.origin(), authorized, transport.clone()),
    };
    let client = builder(&server).build(transport.clone(), tokens).unwrap();
    let mut events = client.events(StartAt::Oldest);
    let mut seen = Vec::new();
    let mut gaps = fastrand::Rng::with_seed(7);
    let end = now() + lifetimes * LIFETIME;
    while now() < end {
        server.append(&grant.account(), 1);
        let gap = Duration::from_millis(gaps.u64(0..1_400));
        let next = transport.sleep(gap);
        tokio::pin!(next);
        loop {
            tokio::select! {
                event = events.next() => seen.push(event.unwrap().unwrap().id().unwrap().to_owned()),
                _ = &mut next => break,
            }
        }
    }
    while let Ok(event) = timeout(LIFETIME, events.next()).await {
        seen.push(event.unwrap().unwrap().id().unwrap().to_owned());
    }
    assert!(seen == server.event_ids(&grant.account()));
    let requests = server.requests();
    let requests = requests
        .iter()
        .filter(|request| request.endpoint == Endpoint::Token);
    let requests = u32::try_from(requests.count()).unwrap();
    println!(
        "{grant:?}: {} events, {requests} token requests in {lifetimes} lifetimes",
        seen.len()
    );
    assert!(requests * 10 <= lifetimes * 13, "{requests} token requests");
    let expired = server.counters().expired_calls;
    assert!(expired.values().all(|calls| *calls == 1), "{expired:?}");
}

fn now() -> Instant {
    Moment::read_clocks().monotonic
}
