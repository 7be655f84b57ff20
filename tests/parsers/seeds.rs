//! The seeds of `fuzz/corpus`: small responses and files, written by hand or found by the fuzzer.
//!
//! They follow Box's documentation and the known oddities of its servers.

use std::fs;
use std::path::Path;

/// A file of the corpus.
pub(crate) struct Seed {
    pub(crate) file: String,
    pub(crate) data: Vec<u8>,
}

/// Returns the seeds of a property, which must have at least one.
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
