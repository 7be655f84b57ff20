//! A server that repeats what it was sent.

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};

use crate::program::{BACKENDS, TOKEN, Tail};

const CHANNEL: &str = "a-channel-that-nobody-may-see";

fn answer(status: u16, body: &str) -> Fault {
    Fault::Status {
        status,
        headers: [("location".into(), body.into())].into(),
        body: body.into(),
    }
}

#[test]
fn what_a_server_repeats_is_not_told() {
    for backend in BACKENDS {
        let server = EmulatorServer::start();
        server.append(TOKEN, 2);
        let url = format!("{}/subscribe?channel={CHANNEL}", server.origin());
        let list = answer(200, &format!(r#"{{"entries":[{{"url":"{url}"}}]}}"#));
        let said = format!("Bearer {TOKEN} at {url}");
        let error = answer(500, &format!(r#"{{"code":"{TOKEN}","message":"{said}"}}"#));
        server.queue_fault(Endpoint::Events, error.clone(), 1);
        server.queue_fault(Endpoint::Events, answer(200, &said), 1);
        server.queue_fault(Endpoint::Options, error.clone(), 1);
        server.queue_fault(Endpoint::Options, list, 1);
        server.queue_fault(Endpoint::Realtime, error, 1);
        let stop = answer(403, &format!(r#"{{"type":"error","message":"{said}"}}"#));

        let mut tail = Tail::of(&server, &["--from", "oldest", "--backend", backend]);
        tail.read_events(2);
        tail.wait_for_report(|line| line == "listening");
        server.queue_fault(Endpoint::Events, stop, 1);
        server.append(TOKEN, 1);
        let ended = tail.end();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let everything = format!("{ended:?}");
        assert!(everything.contains("[access token]"), "{everything}");
        assert!(!everything.contains(TOKEN), "{everything}");
        assert!(!everything.contains(CHANNEL), "{everything}");
    }
}
