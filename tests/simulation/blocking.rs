//! The program that follows the account with the blocking client, on its own thread.
//!
//! One of three threads runs at a time: the world's, which lets time pass; the client's, which
//! drives its requests; and the program's. The world continues when the other two have nothing left
//! to do. So the same scenario gives the same trace. Start at [`start`].
//!
//! There is no blocking subscription here. It may have a write or a wait in progress while its
//! program runs, and the world can't observe that from the outside. The code that drives it is the
//! same as for the batches.

mod threads;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::blocking::{Iter, LongPollClient, Timed};
use box_longpoll::transport::{Moment, TransportError, TransportRequest};
use box_longpoll::{Batch, Error, HttpTransport, LongPollClientBuilder, StartAt, Status};
use bytes::Bytes;
use http::Response;

use self::threads::{Threads, Who};
use crate::program::{Ended, Program, text, write};
use crate::world::{ACCOUNT, Step, World};

pub(crate) fn start(world: &World, builder: LongPollClientBuilder, start: StartAt) -> Program {
    let transport = Threaded {
        world: world.clone(),
        threads: Threads::default(),
    };
    let client = builder
        .build_blocking(transport.clone(), world.clone())
        .and_then(|client| client.as_user(ACCOUNT))
        .expect("the settings are in range");
    // The library draws its seeds from a thread's generator.
    let seed = fastrand::u64(..);
    let Threaded { world, threads } = transport.clone();
    let follow = move || {
        fastrand::seed(seed);
        follow(&transport, &client, start)
    };
    Box::pin(Blocking {
        world,
        threads,
        life: Life::Unborn(Box::new(follow)),
    })
}

fn follow(transport: &Threaded, client: &LongPollClient<Threaded>, start: StartAt) -> Ended {
    let Threaded { world, threads } = transport;
    let handling = Duration::from_millis(world.lock().climate.handling_ms);
    let mut batches = client.batches(start);
    world.watch(batches.handle());
    loop {
        world.waits(true);
        let next = next(&mut batches);
        world.waits(false);
        if threads.was_killed() {
            return None;
        }
        let batch = match next {
            Some(Ok(batch)) => batch,
            Some(Err(error)) => {
                world.check_nothing_in_flight();
                return Some(error);
            }
            None => {
                world.check_nothing_in_flight();
                return None;
            }
        };
        let (end, resume_at) = (batch.resume_at().to_string(), batches.resume_at());
        let events: Vec<_> = batch.into_iter().map(|event| text(&event)).collect();
        let handled = async {
            world.step(Step::Gets(events.len())).await;
            let number = world.delivered(&events, resume_at.position());
            if !handling.is_zero() {
                world.rest(handling).await;
            }
            world.step(Step::Handled).await;
            world.handled(number);
            write(world, &end).await;
        };
        threads.drive(Who::Program, handled)?;
    }
}

/// Returns the next batch. A call without patience comes first, so that both calls are tested.
fn next(batches: &mut Iter<Batch>) -> Option<Result<Batch, Error>> {
    match batches.next_timeout(Duration::ZERO) {
        Timed::Item(item) => Some(item),
        Timed::Elapsed => batches.next(),
        Timed::Ended => None,
    }
}

/// The world, as the transport of a client that has a thread.
#[derive(Clone)]
struct Threaded {
    world: World,
    threads: Threads,
}

#[async_trait]
impl HttpTransport for Threaded {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        self.world.send(request).await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.world.sleep(duration).await
    }

    fn now(&self) -> Moment {
        self.world.now()
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        // If the program is killed, the work is dropped, and the program's call fails.
        self.threads.drive(Who::Client, work);
        Ok(())
    }
}

/// The program as the world sees it. Its threads run while it is polled, and dropping it kills
/// them.
struct Blocking {
    world: World,
    threads: Threads,
    life: Life,
}

/// The state of the program.
enum Life {
    Unborn(Box<dyn FnOnce() -> Ended + Send>),
    Begun(JoinHandle<Ended>),
    Over,
}

impl Future for Blocking {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let program = match std::mem::replace(&mut self.life, Life::Over) {
            Life::Unborn(follow) => {
                let threads = self.threads.clone();
                thread::spawn(move || {
                    let _ends = Ends(threads);
                    follow()
                })
            }
            Life::Begun(program) => program,
            Life::Over => return Poll::Ready(None),
        };
        // Requests may be in flight while the program takes a batch, or learns of the end. Then it
        // goes on by itself.
        let world_owes = |program_is_driven: bool| {
            let inner = self.world.lock();
            let is_over = inner.crashed.is_some() || inner.violation.is_some();
            let takes = matches!(
                inner.status(),
                Some(Status::Delivering | Status::Stopped { .. })
            );
            let is_next = program_is_driven || !takes;
            is_over || (is_next && !(inner.pending.is_empty() && inner.sleepers.is_empty()))
        };
        if self.threads.go_on(cx.waker(), world_owes) {
            let ended = program.join();
            return Poll::Ready(ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        self.life = Life::Begun(program);
        Poll::Pending
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        if let Life::Begun(program) = std::mem::replace(&mut self.life, Life::Over) {
            self.threads.kill();
            // A panic was printed already, or comes from the kill.
            let _ = program.join();
        }
    }
}

/// Reports on drop that the program has ended, by itself or by a panic.
struct Ends(Threads);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.program_has_ended();
    }
}
