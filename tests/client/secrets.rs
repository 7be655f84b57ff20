//! Where the token and the realtime channel go, and where they never show.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use box_longpoll::{AccessToken, ErrorKind, StartAt};
use box_longpoll_testkit::{Endpoint, Fault};
use tracing_subscriber::fmt::MakeWriter;

use crate::world::{builder, client, fake_box, follow_until, holds, in_time, listening, transport};

const CANARY_TOKEN: &str = "canary-token-7f3a";
const CANARY_CHANNEL: &str = "canary-channel-91bc";

/// Everything that is logged, as text.
#[derive(Clone, Default)]
struct Transcript(Arc<Mutex<Vec<u8>>>);

impl io::Write for Transcript {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Transcript {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Transcript {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

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

#[tokio::test]
async fn no_log_debug_or_error_shows_the_token_or_the_channel() {
    let transcript = Transcript::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(transcript.clone())
        .finish();
    // The HTTP libraries' records of the `log` crate as well.
    tracing_log::LogTracer::init().unwrap();
    let _guard = tracing::subscriber::set_default(subscriber);

    let server = fake_box(|_| ());
    let channel_list = |status: u16| Fault::Status {
        status,
        headers: [].into(),
        body: format!(
            r#"{{"entries":[{{"url":"{}/subscribe?channel={CANARY_CHANNEL}"}}]}}"#,
            server.origin()
        ),
    };
    let echo = |status: u16| Fault::Status {
        status,
        headers: [].into(),
        body: format!(r#"{{"code":"{CANARY_TOKEN}","message":"Bearer {CANARY_TOKEN} is wrong"}}"#),
    };
    server.queue_fault(Endpoint::Options, channel_list(200), 1);
    let body = |body: String| Fault::Status {
        status: 200,
        headers: [].into(),
        body,
    };
    server.queue_fault(Endpoint::Options, echo(500), 1);
    let list = body(format!(r#"{{"entries":"http://x/?{CANARY_CHANNEL}"}}"#));
    server.queue_fault(Endpoint::Options, list, 1);
    let page = body(format!(r#"{{"entries":"Bearer {CANARY_TOKEN}"}}"#));
    server.queue_fault(Endpoint::Events, page, 1);
    server.queue_fault(Endpoint::Events, echo(500), 1);
    server.queue_fault(Endpoint::Events, echo(200), 1);
    for fault in [
        Fault::Reset,
        Fault::CloseInBody,
        Fault::Garbage,
        Fault::Redirect {
            location: format!("https://elsewhere.invalid/{CANARY_CHANNEL}"),
        },
    ] {
        server.queue_fault(Endpoint::Realtime, fault, 1);
    }

    let token = AccessToken::new(CANARY_TOKEN).unwrap();
    let client = builder(&server)
        .api_timeout(Duration::from_secs(5))
        .build(transport(), token.clone())
        .unwrap();
    let mut shown = format!("{client:?} {token:?}");
    let mut events = client.events(StartAt::Now);
    let mut handle = events.handle();
    let watched = async {
        let mut shown = String::new();
        while server.emulator().queued_faults() > 0 {
            let status = handle.changed().await.unwrap();
            shown += &format!("{status} {status:?} {handle:?}");
        }
        shown
    };
    in_time(async {
        tokio::select! {
            event = events.next() => panic!("{event:?}"),
            statuses = watched => shown += &statuses,
        }
    })
    .await;
    shown += &format!("{events:?}");

    server.queue_fault(Endpoint::Events, echo(403), 1);
    let error = client.fetch(StartAt::Now).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(error.to_string().contains("[access token]"), "{error}");
    shown += &format!("{error} {error:?}");
    server.queue_fault(Endpoint::Options, channel_list(200), 1);
    let servers = client.realtime_servers().await.unwrap();
    shown += &format!("{servers:?}");

    let log = transcript.text();
    assert!(
        log.contains("hyper") || log.contains("reqwest"),
        "the libraries log"
    );
    assert!(log.contains("long poll"), "the engine logs");
    for (place, text) in [("what is shown", &shown), ("the log", &log)] {
        for canary in [CANARY_TOKEN, CANARY_CHANNEL] {
            let at = text.find(canary);
            assert!(
                at.is_none(),
                "{canary} is in {place}: …{}",
                &text[at.unwrap().saturating_sub(300)..]
            );
        }
    }
}
