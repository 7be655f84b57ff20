//! A checkpoint store in memory, which fails, panics or waits on demand.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use box_longpoll::StreamPosition;
use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointStore};
use event_listener::Event;

/// A checkpoint store in memory. Clones share its content, which outlives a subscription as a file
/// does.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    released: Event,
}

#[derive(Default)]
struct State {
    /// The checkpoint as JSON, so that each load has gone through serialization.
    kept: Option<String>,
    behaviour: Behaviour,
    /// Every checkpoint that a subscription has tried to save.
    saves: Vec<Checkpoint>,
    /// The number of saves in progress.
    under_way: usize,
}

/// The store's behavior from now on, also for the save that is in progress.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Behaviour {
    #[default]
    Works,
    Fails,
    /// The store keeps the checkpoint, and reports a failure.
    KeepsAndFails,
    /// The store reports success, and keeps nothing.
    Forgets,
    Panics,
    /// A save does not end before the behavior changes.
    Waits,
}

impl Memory {
    pub(crate) fn with(checkpoint: &Checkpoint) -> Self {
        let memory = Self::default();
        memory.state().kept = Some(serde_json::to_string(checkpoint).unwrap());
        memory
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.state().behaviour = behaviour;
        self.0.released.notify(usize::MAX);
    }

    /// Returns the checkpoint that a restart would find.
    pub(crate) fn kept(&self) -> Option<Checkpoint> {
        let state = self.state();
        let kept = state.kept.as_ref()?;
        Some(serde_json::from_str(kept).unwrap())
    }

    pub(crate) fn position(&self) -> Option<StreamPosition> {
        self.kept()?.resume_at().position().cloned()
    }

    /// Returns every checkpoint that a subscription has tried to save, in order.
    pub(crate) fn saves(&self) -> Vec<Checkpoint> {
        self.state().saves.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }
}

#[async_trait]
impl CheckpointStore for Memory {
    async fn load(&self, _key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        let behaviour = self.state().behaviour;
        match behaviour {
            Behaviour::Fails => Err(CheckpointError::new("the store is down")),
            Behaviour::Panics => panic!("on purpose"),
            _ => Ok(self.kept()),
        }
    }

    async fn save(&self, _key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        {
            let mut state = self.state();
            state.saves.push(checkpoint.clone());
            state.under_way += 1;
            assert_eq!(state.under_way, 1, "saves overlap");
        }
        loop {
            let released = self.0.released.listen();
            if self.state().behaviour != Behaviour::Waits {
                break;
            }
            released.await;
        }
        let mut state = self.state();
        state.under_way -= 1;
        let json = serde_json::to_string(checkpoint).map_err(CheckpointError::new)?;
        match state.behaviour {
            Behaviour::Works | Behaviour::Waits => state.kept = Some(json),
            Behaviour::KeepsAndFails => {
                state.kept = Some(json);
                return Err(CheckpointError::new("the response was lost"));
            }
            Behaviour::Fails => return Err(CheckpointError::new("the store is down")),
            Behaviour::Forgets => {}
            Behaviour::Panics => {
                drop(state);
                panic!("a fault of the store");
            }
        }
        Ok(())
    }
}
