//! The properties of all parsers that read a server's bytes or a stored file.
//!
//! Each property is a function that takes any bytes, and panics if the property does not hold. The
//! tests call the functions with seeds, changed seeds and noise. The targets of `fuzz/` call them
//! with the inputs of the fuzzer. Start from [`check`].

mod checkpoint;
mod conversation;
mod event;
mod exchange;
mod gzip;
mod page;
mod realtime_url;
mod refusal;
mod response;
mod retry_after;
mod servers;
mod shown;
mod signal;

/// A property, by the name of its fuzz target and its folder of seeds.
pub(crate) type Property = (&'static str, fn(&[u8]));

/// All properties.
pub(crate) const ALL: [Property; 10] = [
    ("checkpoint", checkpoint::holds),
    ("conversation", conversation::holds),
    ("event", event::holds),
    ("gzip", gzip::holds),
    ("page", page::holds),
    ("realtime_url", realtime_url::holds),
    ("refusal", refusal::holds),
    ("retry_after", retry_after::holds),
    ("servers", servers::holds),
    ("signal", signal::holds),
];

/// Checks the property of that name.
///
/// Returns `false` without a check if the data contains a secret itself. Inputs may only contain
/// the placeholders, because the library cannot distinguish a plain channel from any other word.
pub(crate) fn check(name: &str, data: &[u8]) -> bool {
    let has = |secret: &str| {
        let mut windows = data.windows(secret.len());
        windows.any(|window| window == secret.as_bytes())
    };
    if has(response::TOKEN) || has(response::CHANNEL) {
        return false;
    }
    let (_, holds) = ALL
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a property of that name");
    holds(data);
    true
}
