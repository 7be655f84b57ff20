//! What holds of every parser that a server's bytes or a stored file reach, whatever comes.
//!
//! Each property is a function of bytes that panics where it does not hold. The tests call them with seeds and mutated
//! answers, and the targets of `fuzz/` with what the fuzzer makes up.

mod answer;
mod checkpoint;
mod conversation;
mod event;
mod exchange;
mod page;
mod realtime_url;
mod refusal;
mod retry_after;
mod servers;
mod shown;
mod signal;

/// A property, by the name of its fuzz target and its folder of seeds.
pub(crate) type Property = (&'static str, fn(&[u8]));

pub(crate) const ALL: [Property; 9] = [
    ("checkpoint", checkpoint::holds),
    ("conversation", conversation::holds),
    ("event", event::holds),
    ("page", page::holds),
    ("realtime_url", realtime_url::holds),
    ("refusal", refusal::holds),
    ("retry_after", retry_after::holds),
    ("servers", servers::holds),
    ("signal", signal::holds),
];

/// Checks the property of that name. `false`: the data has the secrets themselves, which get in by their placeholders
/// alone, since nobody can tell a bare channel from any other word.
pub(crate) fn check(name: &str, data: &[u8]) -> bool {
    let has = |secret: &str| {
        let mut windows = data.windows(secret.len());
        windows.any(|window| window == secret.as_bytes())
    };
    if has(answer::TOKEN) || has(answer::CHANNEL) {
        return false;
    }
    let (_, holds) = ALL
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a property of that name");
    holds(data);
    true
}
