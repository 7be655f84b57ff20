//! Tests with a server that echoes secrets in its responses.

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};

use crate::program::{BACKENDS, TOKEN, Tail};

const CHANNEL: &str = "a-channel-that-nobody-may-see";

/// A fault that responds with this status, and with the text as body and as `Location`.
fn response(status: u16, body: &str) -> Fault {
    Fault::Status {
        status,
        headers: [("location".into(), body.into())].into(),
        body: body.into(),
    }
}

#[test]
fn secrets_echoed_by_a_server_are_not_printed() {
    for backend in BACKENDS {
        let server = EmulatorServer::start();
        server.append(TOKEN, 2);
        let url = format!("{}/subscribe?channel={CHANNEL}", server.origin());
        let list = response(200, &format!(r#"{{"entries":[{{"url":"{url}"}}]}}"#));
        let echo = format!("Bearer {TOKEN} at {url}");
        let error = response(500, &format!(r#"{{"code":"{TOKEN}","message":"{echo}"}}"#));
        server.queue_fault(Endpoint::Events, error.clone(), 1);
        server.queue_fault(Endpoint::Events, response(200, &echo), 1);
        server.queue_fault(Endpoint::Options, error.clone(), 1);
        server.queue_fault(Endpoint::Options, list, 1);
        server.queue_fault(Endpoint::Realtime, error, 1);
        let stop = response(403, &format!(r#"{{"type":"error","message":"{echo}"}}"#));

        let mut tail = Tail::of(&server, &["--from", "oldest", "--backend", backend]);
        tail.read_events(2);
        tail.wait_for_report(|line| line == "listening");
        server.queue_fault(Endpoint::Events, stop, 1);
        server.append(TOKEN, 1);
        let ended = tail.end();
        assert_eq!(ended.code, Some(77), "{ended:?}");
        let everything = format!("{ended:?}");
        assert!(everything.contains("[access token]"), "{everything}");
        assert!(!everything.contains(TOKEN), "{everything}");
        assert!(!everything.contains(CHANNEL), "{everything}");
    }
}
