//! The engine, by conversation: what it asks and does for everything that can come back.

mod failures;
mod script;
mod table;
