//! The engine without a network: each test passes it responses, and checks the requests and batches
//! that follow. The type to start from is [`script::Script`].

mod clock_checks;
mod complete;
mod connections;
mod enterprise;
mod failures;
mod filters;
mod late;
mod overlap;
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
mod tokens;
