//! The properties that `tests/parsers` checks as well.

#[path = "../../tests/parsers/properties/mod.rs"]
mod properties;

/// Panics where the property of that name does not hold.
pub fn check(name: &str, data: &[u8]) {
    properties::check(name, data);
}
