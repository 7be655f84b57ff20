//! The replacement for `blocking` without its feature.
//!
//! The blocking client's program is the async one then, so that each seed keeps its scenario. Start
//! at [`start`].

use box_longpoll::{LongPollClientBuilder, StartAt};

use crate::program::{Program, batches};
use crate::world::World;

pub(crate) fn start(world: &World, builder: LongPollClientBuilder, start: StartAt) -> Program {
    batches(world, builder, start)
}
