//! A process that may open no more files.

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

/// Where the fake Box is, which has descriptors of its own.
const ORIGIN: &str = "BOX_LONGPOLL_TEST_ORIGIN";

/// Descriptors of the process that is short of them, besides those that it has.
const FEW: u64 = 40;

/// Opens all that can be opened.
fn exhaust() -> Vec<File> {
    let opened: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(opened.len() as u64 <= FEW, "the limit holds");
    opened
}

#[test]
fn x12_without_a_descriptor_the_status_names_the_limit_and_the_stream_goes_on_when_there_is_one() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 1);
    let test = "open_files::x12_without_a_descriptor_the_status_names_the_limit_and_the_stream_goes_on_when_there_is_one";
    if in_environment(test, &[(ORIGIN, server.origin())]).is_some() {
        return;
    }
    let origin = std::env::var(ORIGIN).unwrap();
    for backend in BACKENDS {
        runs_short(*backend, &origin);
    }
}

#[track_caller]
fn runs_short(backend: Backend, origin: &str) {
    let builder = LongPollClient::builder()
        .api_origin(origin)
        .realtime_hosts(RealtimeHosts::default().allow_loopback());
    let follow = client(backend, Facade::Async, builder.clone());
    // What the library opens once, it has opened by then.
    let event = follow(StartAt::Oldest).next_within(PATIENCE);
    assert_eq!(event.expect("it comes").unwrap().len(), 1);
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
        assert!(stream.next_within(soon).is_none(), "there is no socket");
        if let status @ Status::Retrying { .. } = stream.status() {
            break status.to_string();
        }
    };
    println!("{backend:?}: {why}");
    drop(opened);
    setrlimit(Resource::Nofile, limit).unwrap();
    let event = stream.next_within(PATIENCE);
    assert_eq!(event.expect("it comes").unwrap().len(), 1);
    assert!(
        why.contains("RLIMIT_NOFILE (ulimit -n)"),
        "{backend:?}: {why}"
    );
}
