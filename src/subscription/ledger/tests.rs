//! A model of a store that fails in all ways, which checks the ids of a history after each restart.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures_lite::future::block_on;
use jiff::Timestamp;

use super::*;
use crate::auth::AccessToken;
use crate::checkpoint::Since;
use crate::config::Config;
use crate::dedup::{HASH_BYTES, hash_bytes};
use crate::event::Event;
use crate::position::StartAt;
use crate::status::Status;

/// A database without transactions: the ids are written before the checkpoint.
#[derive(Default)]
struct Tables {
    checkpoint: Option<String>,
    ids: BTreeMap<u64, Vec<u8>>,
    next: Outcome,
}

/// The outcome of the next save.
#[derive(Clone, Copy, Default)]
enum Outcome {
    #[default]
    Works,
    Fails,
    /// The ids are written, and the checkpoint is not.
    FailsHalfway,
    /// Both are written, and the response is lost.
    KeepsAndFails,
}

const OUTCOMES: [Outcome; 4] = [
    Outcome::Works,
    Outcome::Fails,
    Outcome::FailsHalfway,
    Outcome::KeepsAndFails,
];

#[derive(Clone, Default)]
struct Store(Arc<Mutex<Tables>>);

impl Store {
    fn load(&self) -> Option<Checkpoint> {
        let tables = lock(&self.0);
        let checkpoint: Checkpoint = serde_json::from_str(tables.checkpoint.as_ref()?).unwrap();
        Some(checkpoint.with_ids(tables.ids.clone()))
    }

    fn write(&self, checkpoint: &Checkpoint, outcome: Outcome) {
        let mut tables = lock(&self.0);
        if let (Outcome::Works | Outcome::FailsHalfway | Outcome::KeepsAndFails, Some(new)) =
            (outcome, checkpoint.new_ids())
        {
            tables.ids.split_off(&new.after());
            tables.ids.insert(new.after(), new.as_bytes().to_vec());
        }
        if let Outcome::Works | Outcome::KeepsAndFails = outcome {
            tables.checkpoint = Some(serde_json::to_string(checkpoint).unwrap());
        }
    }
}

#[async_trait]
impl CheckpointStore for Store {
    async fn load(&self, _key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        Ok(Self::load(self))
    }

    async fn save(&self, _key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let outcome = lock(&self.0).next;
        self.write(checkpoint, outcome);
        match outcome {
            Outcome::Works => Ok(()),
            _ => Err(CheckpointError::new("the store is down")),
        }
    }
}

const COLLECTS: Option<Since> = Some(Since {
    from: Timestamp::UNIX_EPOCH,
    forget_ids_at: None,
    history_began_at: None,
});

/// One life of a program that follows a log of numbered events. The position after an event is its
/// number.
struct Life {
    ledger: Ledger,
    store: Store,
    /// The number of the last event that was delivered.
    delivered: u64,
    /// The batches that wait for an acknowledgement.
    batches: Vec<u64>,
}

impl Life {
    fn begin(store: &Store, saves: bool) -> Self {
        let owner = Owner::of(
            "ada".to_owned(),
            &Config::default(),
            &AccessToken::new("token").unwrap(),
        );
        let (status, oldest) = (Status::Fetching, StartAt::Oldest);
        let telemetry = Telemetry::new(&Arc::default(), None, status, oldest);
        let found = store.load();
        let window = match &found {
            Some(checkpoint) => checkpoint.window(9),
            None => Window::new(9, &mut fastrand::Rng::with_seed(1)),
        };
        let resume_at = match &found {
            Some(checkpoint) => checkpoint.resume_at(),
            None => StartAt::Oldest,
        };
        let start = || reached(resume_at.clone());
        let ledger = Ledger {
            store: saves.then(|| Arc::new(store.clone()) as Arc<dyn CheckpointStore>),
            owner,
            telemetry: Arc::new(telemetry),
            clock: Arc::new(|| None),
            state: Mutex::new(State::at_start_of(
                Watermark::at_start(start()),
                window.clone(),
                true,
            )),
        };
        if let Some(checkpoint) = &found {
            ledger.resume(checkpoint, start(), window).unwrap();
        }
        if let Some(checkpoint) = &found {
            assert_known_ids_end_at_the_position(checkpoint);
        }
        Self {
            ledger,
            store: store.clone(),
            delivered: number(&resume_at),
            batches: Vec::new(),
        }
    }

    fn deliver(&mut self, count: u64) {
        let events = self.delivered + 1..=self.delivered + count;
        self.delivered += count;
        let event = |id| serde_json::from_str(&format!(r#"{{"event_id":"{id}"}}"#)).unwrap();
        let batch = Batch::new(
            events.map(event).collect::<Vec<Event>>(),
            at(self.delivered),
        );
        let number = self.ledger.deliver(&batch, SystemTime::UNIX_EPOCH);
        self.batches.push(number);
        self.ledger.advance(reached(at(self.delivered)));
    }

    fn write(&self, outcome: Outcome) {
        lock(&self.store.0).next = outcome;
        if let Some(write) = self.ledger.due() {
            self.finish(write);
        }
    }

    fn finish(&self, mut write: Write) {
        let outcome = block_on(std::future::poll_fn(|cx| write.poll(cx)));
        self.ledger.finish(&write, &outcome);
    }
}

fn reached(resume_at: StartAt) -> Reached {
    Reached {
        resume_at,
        slice: None,
        caught_up_at: None,
        complete_until: None,
        since: COLLECTS,
    }
}

/// Checks that the stored ids are those of all events up to the position: one that is missing would
/// be delivered again, and one too many would be lost.
#[track_caller]
fn assert_known_ids_end_at_the_position(found: &Checkpoint) {
    let window = found.window(9);
    let expected: BTreeSet<_> = (1..=number(&found.resume_at()))
        .map(|event| hash_bytes(window.hash(&event.to_string())))
        .collect();
    let (known, _) = found.stored_ids().as_chunks::<HASH_BYTES>();
    assert_eq!(known.len() as u64, found.history_ids());
    assert!(known.iter().copied().collect::<BTreeSet<_>>() == expected);
}

fn at(position: u64) -> StartAt {
    position.to_string().parse().unwrap()
}

fn number(position: &StartAt) -> u64 {
    let position = position.position().map(ToString::to_string);
    position.map_or(0, |position| position.parse().unwrap())
}

#[test]
fn stored_ids_are_those_before_the_position_in_each_life() {
    let mut delivered = 0;
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let store = Store::default();
        for _ in 0..6 {
            let mut life = Life::begin(&store, true);
            let mut in_flight = None;
            for _ in 0..rng.u32(1..40) {
                match rng.u32(..5) {
                    0 | 1 => life.deliver(rng.u64(1..4)),
                    2 if !life.batches.is_empty() => {
                        let batch = life.batches.remove(rng.usize(..life.batches.len()));
                        life.ledger.record(batch);
                    }
                    3 if in_flight.is_none() => in_flight = life.ledger.due(),
                    _ => match in_flight.take() {
                        Some(write) => {
                            lock(&store.0).next = OUTCOMES[rng.usize(..4)];
                            life.finish(write);
                        }
                        None => life.write(OUTCOMES[rng.usize(..4)]),
                    },
                }
            }
        }
        delivered += Life::begin(&store, true).delivered;
    }
    assert!(delivered > 2_000, "{delivered}");
}

#[test]
fn program_that_stores_the_checkpoints_stores_the_ids_too() {
    let mut delivered = 0;
    for seed in 0..100 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let store = Store::default();
        for _ in 0..6 {
            let mut life = Life::begin(&store, false);
            for _ in 0..rng.u32(1..20) {
                if life.batches.is_empty() || rng.bool() {
                    life.deliver(rng.u64(1..4));
                    continue;
                }
                let batch = life.batches.remove(0);
                let checkpoint = life.ledger.checkpoint_after(batch).unwrap();
                store.write(&checkpoint, Outcome::Works);
                if rng.u32(..8) == 0 {
                    // The program ends before it can report that.
                    break;
                }
                life.ledger.record(batch);
            }
        }
        delivered += Life::begin(&store, false).delivered;
    }
    assert!(delivered > 2_000, "{delivered}");
}
