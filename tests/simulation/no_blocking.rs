//! Without the feature the blocking client's program is the async one.

use box_longpoll::{LongPollClientBuilder, StartAt};

use crate::program::{Program, batches};
use crate::world::World;

pub(crate) fn start(world: &World, builder: LongPollClientBuilder, start: StartAt) -> Program {
    batches(world, builder, start)
}
