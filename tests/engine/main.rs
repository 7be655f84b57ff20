//! The engine, by conversation: what it asks and does for everything that can come back.

mod connections;
mod enterprise;
mod failures;
mod late;
mod pace;
mod pages;
mod portals;
mod queries;
mod requests;
mod restless;
mod retries;
mod script;
mod servers;
mod signals;
mod ticks;
mod tokens;
