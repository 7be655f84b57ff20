//! A process that has reached its limit of open files and sockets: the fault X12.

use std::fs::File;

use box_longpoll::config::RealtimeHosts;
use box_longpoll::{LongPollClient, StartAt, Status};
use box_longpoll_testkit::EmulatorServer;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::backend::Backend;
use crate::fake_box::{PATIENCE, TOKEN};
use crate::follower::{Facade, client};
use crate::memory::BACKENDS;
use crate::scripted::in_environment;

/// The environment variable with the origin of the fake Box, which runs in another process.
const ORIGIN: &str = "BOX_LONGPOLL_TEST_ORIGIN";

/// The number of descriptors that the process may open in addition to those that it has.
const FEW: u64 = 40;

/// Opens files until the limit is reached.
fn exhaust() -> Vec<File> {
    let opened: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(opened.len() as u64 <= FEW, "the limit is not in effect");
    opened
}

/// Proves that the status names the limit, and that the stream continues when a descriptor is free.
#[test]
fn x12_status_names_the_limit_when_no_file_can_be_opened() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 1);
    let test = "open_files::x12_status_names_the_limit_when_no_file_can_be_opened";
    if in_environment(test, &[(ORIGIN, server.origin())]).is_some() {
        return;
    }
    let origin = std::env::var(ORIGIN).unwrap();
    for backend in BACKENDS {
        assert_names_the_limit(*backend, &origin);
    }
}

#[track_caller]
fn assert_names_the_limit(backend: Backend, origin: &str) {
    let builder = LongPollClient::builder()
        .api_origin(origin)
        .realtime_hosts(RealtimeHosts::default().allow_loopback());
    // No request is in flight after the event, so no socket is freed later.
    let builder = builder.page_limit(1).read_ahead(0);
    let mut first = client(backend, Facade::Async, builder.clone())(StartAt::Oldest);
    // After this event, the library has opened the files that it opens only once.
    let event = first.next_within(PATIENCE);
    assert_eq!(event.expect("an event arrives").unwrap().len(), 1);
    let mut stream = client(backend, Facade::Async, builder)(StartAt::Oldest);

    let limit = getrlimit(Resource::Nofile);
    let used = File::open("/dev/null").unwrap();
    let used = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&used)).unwrap();
    let few = Rlimit {
        current: Some(used + FEW),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, few).unwrap();
    let opened = exhaust();
    let why = loop {
        let soon = std::time::Duration::from_millis(10);
        assert!(
            stream.next_within(soon).is_none(),
            "no event can arrive without a socket"
        );
        if let status @ Status::Retrying { .. } = stream.status() {
            break status.to_string();
        }
    };
    println!("{backend:?}: {why}");
    drop(opened);
    setrlimit(Resource::Nofile, limit).unwrap();
    let event = stream.next_within(PATIENCE);
    assert_eq!(event.expect("an event arrives").unwrap().len(), 1);
    assert!(
        why.contains("RLIMIT_NOFILE (ulimit -n)"),
        "{backend:?}: {why}"
    );
}
