//! A store in memory, which can be told to misbehave.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use box_longpoll::StreamPosition;
use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointStore};
use event_listener::Event;

/// A store in memory. Clones are the same store; what is in it outlives a subscription, as a file does.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    released: Event,
}

#[derive(Default)]
struct State {
    /// As JSON, so that what is loaded has been written and read.
    kept: Option<String>,
    behaviour: Behaviour,
    saves: Vec<Checkpoint>,
    under_way: usize,
}

#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Behaviour {
    #[default]
    Works,
    Fails,
    /// It keeps the checkpoint, and says that it failed.
    KeepsAndFails,
    /// It says that it saved, and did not.
    Forgets,
    Panics,
    /// Nothing comes of a save before the behaviour changes.
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

    /// What a restart would find.
    pub(crate) fn kept(&self) -> Option<Checkpoint> {
        let state = self.state();
        let kept = state.kept.as_ref()?;
        Some(serde_json::from_str(kept).unwrap())
    }

    pub(crate) fn position(&self) -> Option<StreamPosition> {
        self.kept()?.resume_at().position().cloned()
    }

    /// All that it was asked to save.
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
                return Err(CheckpointError::new("the answer was lost"));
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
