//! The client's thread and the program's, which take turns with the world.
//!
//! A thread polls its future only while the world permits it, and the world waits until both
//! threads are idle. The threads know nothing of what they drive. Start at [`Threads::drive`] and
//! [`Threads::go_on`].

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The client's thread and the program's, which run while the world permits it.
#[derive(Clone, Default)]
pub(super) struct Threads(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// `true` while the world permits the threads to run.
    may_go_on: bool,
    killed: bool,
    program_has_ended: bool,
    client: Driven,
    program: Driven,
    world: Option<Waker>,
}

/// The state of the future that a thread drives.
#[derive(Clone, Copy, Default)]
struct Driven {
    is_there: bool,
    woken: bool,
    polled: bool,
}

/// The thread that drives a future.
#[derive(Clone, Copy)]
pub(super) enum Who {
    Client,
    Program,
}

impl State {
    fn of(&mut self, who: Who) -> &mut Driven {
        match who {
            Who::Client => &mut self.client,
            Who::Program => &mut self.program,
        }
    }

    /// Returns `true` if both futures wait for something.
    fn waits(&self) -> bool {
        let driven = [self.client, self.program];
        driven.iter().all(|driven| !driven.woken && !driven.polled)
    }

    fn has_ended(&self) -> bool {
        self.program_has_ended && !self.client.is_there
    }
}

impl Threads {
    /// Drives the future on this thread. Returns `None` if the program was killed.
    pub(super) fn drive<R>(&self, who: Who, future: impl Future<Output = R>) -> Option<R> {
        *self.state().of(who) = Driven {
            is_there: true,
            woken: true,
            polled: false,
        };
        let outcome = self.poll_to_the_end(who, future);
        *self.state().of(who) = Driven::default();
        self.0.changed.notify_all();
        outcome
    }

    fn poll_to_the_end<R>(&self, who: Who, future: impl Future<Output = R>) -> Option<R> {
        let waker = Waker::from(Arc::new(Waking {
            threads: self.clone(),
            who,
        }));
        let mut future = pin!(future);
        loop {
            let is_not_its_turn = |state: &mut State| {
                let has_turn = state.may_go_on && state.of(who).woken;
                !has_turn && !state.killed
            };
            let mut state = self.wait_while(is_not_its_turn);
            if state.killed {
                return None;
            }
            state.of(who).woken = false;
            state.of(who).polled = true;
            drop(state);
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            let mut state = self.state();
            state.of(who).polled = false;
            // A future that is ready must not seem to wait.
            state.of(who).is_there &= polled.is_pending();
            drop(state);
            self.0.changed.notify_all();
            if let Poll::Ready(outcome) = polled {
                return Some(outcome);
            }
        }
    }

    /// Lets the threads run until they have ended or wait for the world. Returns `true` if they
    /// have ended. `world_owes` gets `true` if the program drives a future.
    pub(super) fn go_on(&self, world: &Waker, world_owes: impl Fn(bool) -> bool) -> bool {
        let mut state = self.state();
        state.may_go_on = true;
        state.world = Some(world.clone());
        drop(state);
        self.0.changed.notify_all();
        let goes_on = |state: &mut State| {
            let waits = state.waits() && world_owes(state.program.is_there);
            !waits && !state.has_ended()
        };
        let mut state = self.wait_while(goes_on);
        state.may_go_on = false;
        state.has_ended()
    }

    /// Makes both threads end, and waits for that.
    pub(super) fn kill(&self) {
        self.state().killed = true;
        self.0.changed.notify_all();
        drop(self.wait_while(|state| !state.has_ended()));
    }

    pub(super) fn was_killed(&self) -> bool {
        self.state().killed
    }

    pub(super) fn program_has_ended(&self) {
        self.state().program_has_ended = true;
        self.0.changed.notify_all();
    }

    fn wait_while(&self, condition: impl FnMut(&mut State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.0.changed.wait_while(self.state(), condition);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes a thread's future, and also the world unless it waits for the threads already.
struct Waking {
    threads: Threads,
    who: Who,
}

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        let mut state = self.threads.state();
        state.of(self.who).woken = true;
        if let Some(world) = &state.world
            && !state.may_go_on
        {
            world.wake_by_ref();
        }
        drop(state);
        self.threads.0.changed.notify_all();
    }
}
