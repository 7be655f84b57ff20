//! The engine, by conversation: what it asks and does for everything that can come back.

mod enterprise;
mod failures;
mod pace;
mod pages;
mod prepared;
mod queries;
mod requests;
mod retries;
mod script;
mod servers;
mod signals;
mod ticks;
mod tokens;
