//! Where the program keeps its position, and how that can go wrong.

use crate::scenario::What;

/// What survives a crash.
#[derive(Default)]
pub(crate) struct Store {
    durable: Option<String>,
    pub(crate) writes: u32,
}

/// What the store says to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Yes,
    No,
}

impl Store {
    pub(crate) fn read(&self) -> Option<&str> {
        self.durable.as_deref()
    }

    /// Writes a position, or doesn't. Gives what the store says.
    pub(crate) fn write(&mut self, position: &str, mishap: Option<&What>) -> Written {
        let (written, said) = match mishap {
            Some(What::WriteFails) => (false, Written::No),
            Some(What::WriteLost) => (false, Written::Yes),
            Some(What::WriteUnsaid) => (true, Written::No),
            _ => (true, Written::Yes),
        };
        if written {
            self.durable = Some(position.to_owned());
        }
        said
    }
}
