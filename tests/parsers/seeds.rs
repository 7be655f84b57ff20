//! The seeds: small answers and files, made by hand after Box's documentation and its known oddities, and what the fuzzer
//! once found.

use std::fs;
use std::path::Path;

pub(crate) struct Seed {
    pub(crate) file: String,
    pub(crate) data: Vec<u8>,
}

/// Those of one property, of which there are some.
#[track_caller]
pub(crate) fn seeds(name: &str) -> Vec<Seed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut seeds: Vec<Seed> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            Seed {
                file: entry.file_name().into_string().unwrap(),
                data: fs::read(entry.path()).unwrap(),
            }
        })
        .collect();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    seeds.sort_by(|a, b| a.file.cmp(&b.file));
    seeds
}
