//! The properties of the parsers, for the fuzz targets.
//!
//! `tests/parsers` checks the same functions with the seeds and with random inputs.
//! `fuzz/README.md` lists the targets. Start from [`check`].

#[path = "../../tests/parsers/properties/mod.rs"]
mod properties;

/// Checks the property of the target `name` with `data`.
///
/// # Panics
///
/// Panics if the property does not hold.
pub fn check(name: &str, data: &[u8]) {
    properties::check(name, data);
}
