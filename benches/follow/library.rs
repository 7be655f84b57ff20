//! The library as a subject of the measurement, over any transport.
//!
//! It has the defaults, except for the origin, the page size and, in some figures, the pace. Start
//! from [`Library`].

use std::hint::black_box;
use std::ops::ControlFlow;

use box_longpoll::config::RealtimeHosts;
use box_longpoll::{AccessToken, Event, HttpTransport, LongPollClient, StartAt};

use crate::emulator::Address;
use crate::runtime::Runtime;
use crate::subject::{Pace, Start, Subject, exit_with};

/// A transport, and the runtime that applications use beside it.
pub(crate) trait Backend: HttpTransport + Clone {
    type Runtime: Runtime;

    /// Returns a transport that trusts the authority of a certificate too, which is in PEM.
    fn new(authority: Option<&str>) -> Self;
}

/// A client of the library.
pub(crate) struct Library<T> {
    client: LongPollClient<T>,
}

impl<T> Clone for Library<T> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
        }
    }
}

impl<T: Backend> Subject for Library<T> {
    type Runtime = T::Runtime;
    type Event = Event;

    fn new(server: &Address, pace: Pace) -> Self {
        let pace = match pace {
            Pace::Default => box_longpoll::config::Pace::default(),
            Pace::Raised => box_longpoll::config::Pace::default()
                .per_second(1_000)
                .per_minute(60_000)
                .small_pages_per_minute(60_000),
        };
        let client = LongPollClient::builder()
            .api_origin(&server.origin)
            .realtime_hosts(RealtimeHosts::default().allow_loopback())
            .page_limit(500)
            .pace(pace)
            .build(T::new(server.authority.as_deref()), token("nobody"));
        Self {
            client: client.expect("the settings are right"),
        }
    }

    fn follow(
        &self,
        account: String,
        start: Start,
        mut each: impl FnMut(&Event) -> ControlFlow<()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let start = match start {
            Start::Now => StartAt::Now,
            Start::Oldest => StartAt::Oldest,
        };
        let client = self.client.with_tokens(token(&account));
        async move {
            let mut events = client.events(start);
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) if each(&event).is_continue() => {}
                    Ok(_) => return,
                    Err(error) => exit_with(&format!("the library: {error:?}")),
                }
            }
        }
    }

    async fn read_pages<W: Future<Output = ControlFlow<()>> + Send>(
        &self,
        account: String,
        mut each: impl FnMut(&[Event]) -> W + Send,
    ) {
        let client = self.client.with_tokens(token(&account));
        let mut batches = client.batches(StartAt::Oldest);
        while let Some(batch) = batches.next().await {
            match batch {
                Ok(batch) if each(&batch).await.is_continue() => {}
                Ok(_) => return,
                Err(error) => exit_with(&format!("the library: {error:?}")),
            }
        }
    }

    fn glance(event: &Event) {
        black_box((event.id(), event.event_type(), event.created_at()));
    }

    fn read(event: &Event) {
        Self::glance(event);
        black_box(event.details());
    }

    fn sent_ns(event: &Event) -> Option<u64> {
        event.field("sent_ns")?.decode().ok()
    }
}

fn token(account: &str) -> AccessToken {
    AccessToken::new(account).expect("an account's name is a token")
}
