//! The token endpoint without a network: Box's rules for each grant, and the lifetimes of the
//! tokens.

mod clock;
mod codes;
mod credentials;
mod faults;
#[cfg(feature = "jwt")]
mod jwt;
mod lifetimes;
#[cfg(not(feature = "jwt"))]
mod no_jwt;
mod refresh;
mod refusals;
mod sessions;
mod world;
