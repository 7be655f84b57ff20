//! Streams: the events that they deliver, their stops, and the position that they leave.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, ErrorKind, HttpTransport, LongPollClient, StartAt, Status};
use box_longpoll_testkit::{Endpoint, Fault};

use crate::world::{
    TOKEN, builder, client, fake_box, follow_until, holds, id, in_time, listening, next_event,
    next_ids, transport,
};

#[tokio::test]
async fn events_arrive_in_order_from_the_oldest_to_new_ones() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 1_200);
    let mut events = client(&server).events(StartAt::Oldest);
    let mut ids = next_ids(&mut events, 1_200).await;
    server.append(TOKEN, 3);
    ids.extend(next_ids(&mut events, 3).await);
    assert_eq!(ids, server.event_ids(TOKEN));
}

#[tokio::test]
async fn start_at_now_delivers_only_later_events() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 5);
    let mut batches = listening(&server, &client(&server)).await;
    server.append(TOKEN, 2);
    let batch = in_time(batches.next()).await.unwrap().unwrap();
    let ids: Vec<String> = batch.iter().map(id).collect();
    assert_eq!(ids, server.event_ids(TOKEN)[5..]);
}

#[tokio::test]
async fn position_moves_when_a_complete_page_is_handled() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 3);
    let start = client(&server).fetch(StartAt::Now).await.unwrap();
    let start = start.next_position.unwrap();
    server.append(TOKEN, 3);
    let mut events = client(&server).events(StartAt::At(start.clone()));
    for _ in 0..3 {
        next_event(&mut events).await;
        assert_eq!(events.resume_at().position(), Some(&start));
    }
    server.append(TOKEN, 1);
    next_event(&mut events).await;
    let after_the_first_page = events.resume_at().position().unwrap().clone();
    assert_ne!(after_the_first_page, start);

    // A stream that resumes there delivers only the events that were not handled.
    let mut resumed = client(&server).events(after_the_first_page);
    let ids = next_ids(&mut resumed, 1).await;
    assert_eq!(ids, server.event_ids(TOKEN)[6..]);
}

#[tokio::test]
async fn batch_carries_the_position_after_it() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 1_000);
    let mut batches = client(&server).batches(StartAt::Oldest);
    let first = in_time(batches.next()).await.unwrap().unwrap();
    assert_eq!(first.len(), 500);
    assert_eq!(
        batches.resume_at().position(),
        None,
        "the batch is not handled yet"
    );
    let resume = first.resume_at().position().unwrap().clone();
    let mut resumed = client(&server).events(resume);
    let ids = next_ids(&mut resumed, 500).await;
    assert_eq!(ids, server.event_ids(TOKEN)[500..]);
}

#[tokio::test]
async fn dropping_the_future_of_next_at_any_poll_loses_nothing() {
    let server = fake_box(|settings| settings.short_page_rate = 0.5);
    server.append(TOKEN, 2_000);
    let mut events = client(&server).events(StartAt::Oldest);
    let mut ids = Vec::new();
    in_time(async {
        while ids.len() < 2_000 {
            // Each future is polled once and dropped.
            let once = {
                let mut next = pin!(events.next());
                std::future::poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await
            };
            match once {
                Poll::Ready(event) => ids.push(id(&event.unwrap().unwrap())),
                Poll::Pending => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert_eq!(ids, server.event_ids(TOKEN));
}

#[tokio::test]
async fn a_timeout_around_next_keeps_the_held_poll() {
    let server = fake_box(|_| ());
    let mut batches = listening(&server, &client(&server)).await;
    for _ in 0..20 {
        let nothing = tokio::time::timeout(Duration::from_millis(5), batches.next()).await;
        assert!(nothing.is_err());
    }
    assert_eq!(server.counters().realtime.requests, 1);
    assert_eq!(server.counters().open_polls, 1);
}

#[tokio::test]
async fn failure_18_dropping_a_stream_ends_its_held_poll() {
    let server = fake_box(|_| ());
    let batches = listening(&server, &client(&server)).await;
    drop(batches);
    holds(&server, |emulator| emulator.counters().open_polls == 0).await;
}

#[tokio::test]
async fn failure_18_stop_from_another_thread_ends_the_held_poll() {
    let server = fake_box(|_| ());
    let mut batches = listening(&server, &client(&server)).await;
    let handle = batches.handle();
    let stopper = std::thread::spawn(move || handle.stop());
    assert!(in_time(batches.next()).await.is_none());
    assert!(batches.next().await.is_none());
    assert!(matches!(
        batches.status(),
        Status::Stopped { because: None, .. }
    ));
    holds(&server, |emulator| emulator.counters().open_polls == 0).await;
    stopper.join().unwrap();
}

#[tokio::test]
async fn stopped_stream_of_events_ends_its_held_poll() {
    let server = fake_box(|_| ());
    let mut events = client(&server).events(StartAt::Now);
    tokio::select! {
        event = events.next() => panic!("unexpected event: {event:?}"),
        () = holds(&server, |emulator| emulator.counters().open_polls == 1) => {}
    }
    events.handle().stop();
    assert!(in_time(events.next()).await.is_none());
    holds(&server, |emulator| emulator.counters().open_polls == 0).await;
    drop(events);
}

#[tokio::test]
async fn a_stopped_stream_gives_nothing_more_of_its_page() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 10);
    let mut events = client(&server).events(StartAt::Oldest);
    next_event(&mut events).await;
    events.handle().stop();
    assert!(in_time(events.next()).await.is_none());
}

#[tokio::test]
async fn stop_leaves_the_position_after_the_handled_events() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 1_000);
    let mut batches = client(&server).batches(StartAt::Oldest);
    let batch = in_time(batches.next()).await.unwrap().unwrap();
    batches.handle().stop();
    assert_eq!(
        batches.resume_at().position(),
        None,
        "the batch counts as handled at the next call of `next`"
    );
    assert!(batches.next().await.is_none());
    assert_eq!(batches.resume_at().position(), batch.resume_at().position());
    assert_eq!(batches.handle().resume_at(), batch.resume_at());

    let mut events = client(&server).events(StartAt::Oldest);
    next_ids(&mut events, 499).await;
    events.handle().stop();
    for _ in 0..3 {
        assert!(events.next().await.is_none());
        assert_eq!(
            events.resume_at().position(),
            None,
            "one event of the page is not handled"
        );
    }
}

#[tokio::test]
async fn handle_shows_the_status_of_its_stream() {
    let server = fake_box(|_| ());
    let client = client(&server);
    let mut batches = client.batches(StartAt::Now);
    let mut handle = batches.handle();
    let mut watcher = handle.clone();
    let listening = async {
        while let Some(status) = watcher.changed().await {
            if let Status::Listening { .. } = status {
                assert!(
                    watcher.resume_at().position().is_some(),
                    "the position of `now` is known before the first poll"
                );
                return;
            }
        }
        panic!("the stream ended");
    };
    follow_until(&mut batches, in_time(listening)).await;

    // The wait is long enough for the task to see the status on a busy machine.
    let fault = Fault::RateLimited { seconds: 1 };
    server.queue_fault(Endpoint::Events, fault, 1);
    let retrying = async {
        loop {
            if let Some(Status::Retrying { because, .. }) = handle.changed().await {
                return because;
            }
        }
    };
    server.append(TOKEN, 1);
    let (because, batch) = tokio::join!(in_time(retrying), in_time(batches.next()));
    assert_eq!(because.kind(), ErrorKind::RateLimited);
    assert!(batch.unwrap().is_ok());

    drop(batches);
    while handle.changed().await.is_some() {}
    assert!(matches!(
        handle.status(),
        Status::Stopped { because: None, .. }
    ));
}

#[test]
fn watcher_always_learns_of_the_end() {
    let client = LongPollClient::new(transport(), AccessToken::new(TOKEN).unwrap());
    for _ in 0..2_000 {
        let batches = client.batches(StartAt::Now);
        let mut handle = batches.handle();
        let status = futures_lite::future::block_on(handle.changed());
        assert!(status.is_some(), "the first call returns at once");
        let watcher = std::thread::spawn(move || futures_lite::future::block_on(handle.changed()));
        batches.handle().stop();
        let status = watcher.join().unwrap();
        assert!(matches!(status, Some(Status::Stopped { .. })), "{status:?}");
    }
}

#[tokio::test]
async fn an_error_is_the_last_item_and_the_position_stays() {
    let server = fake_box(|_| ());
    let client = client(&server);
    let mut batches = listening(&server, &client).await;
    let position = batches.resume_at().position().cloned();
    server.queue_fault(Endpoint::Events, Fault::Forbidden, 1);
    server.append(TOKEN, 1);
    let error = in_time(batches.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(batches.next().await.is_none());
    assert_eq!(batches.resume_at().position(), position.as_ref());
    let Status::Stopped {
        because: Some(because),
        ..
    } = batches.handle().status()
    else {
        panic!("{:?}", batches.status());
    };
    assert_eq!(because.kind(), ErrorKind::Forbidden);

    let mut resumed = client.events(position.unwrap());
    let ids = next_ids(&mut resumed, 1).await;
    assert_eq!(ids, server.event_ids(TOKEN));
}

#[test]
fn stream_fails_without_a_panic_outside_a_tokio_runtime() {
    let client = LongPollClient::new(
        ReqwestTransport::new().unwrap(),
        AccessToken::new(TOKEN).unwrap(),
    );
    let mut events = client.events(StartAt::Now);
    let error = futures_lite::future::block_on(events.next())
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    let error = futures_lite::future::block_on(client.fetch(StartAt::Now)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
}

#[test]
fn a_runtime_without_timers_or_io_is_an_error_and_no_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let client = LongPollClient::new(transport(), AccessToken::new(TOKEN).unwrap());
    let error = runtime
        .block_on(client.events(StartAt::Now).next())
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
}

#[tokio::test]
async fn a_transport_can_be_chosen_at_run_time() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 1);
    let chosen: Arc<dyn HttpTransport> = Arc::new(transport());
    let token = AccessToken::new(TOKEN).unwrap();
    let client = builder(&server).build(chosen, token).unwrap();
    next_event(&mut client.events(StartAt::Oldest)).await;
}

#[test]
fn streams_can_be_sent_and_moved_and_are_small() {
    fn assert_send_and_unpin<T: Send + Unpin + 'static>(_: &T) {}
    let client = LongPollClient::new(
        ReqwestTransport::new().unwrap(),
        AccessToken::new(TOKEN).unwrap(),
    );
    let events = client.events(StartAt::Now);
    assert_send_and_unpin(&events);
    assert!(size_of_val(&events) < 4_096, "{}", size_of_val(&events));
}
