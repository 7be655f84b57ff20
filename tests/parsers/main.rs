//! Tests of the parsers with any input of a server or a file: seeds, randomly changed seeds, and
//! noise.
//!
//! The module `properties` has a property for each parser. The fuzzer in `fuzz/` checks the same
//! properties for a longer time.

mod changes;
mod properties;
mod seeds;

use std::path::Path;
use std::{fmt, fs};

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::sample::select;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestRunner};

use crate::changes::{Change, changed};
use crate::seeds::{Seed, seeds};

/// An input, which `Debug` shows as text.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Checks each property with this number of inputs. An input that fails is shrunk and printed. Add
/// it to the seeds with the fix.
#[track_caller]
fn assert_all_hold<S: Strategy<Value = Vec<u8>>>(cases: u32, inputs: impl Fn(&str) -> S) {
    for (name, _) in properties::ALL {
        let config = Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        };
        let outcome = TestRunner::new(config).run(&inputs(name).prop_map(Input), |Input(data)| {
            properties::check(name, &data);
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn properties_hold_for_every_seed() {
    for (name, _) in properties::ALL {
        for Seed { file, data } in seeds(name) {
            println!("{name}/{file}");
            assert!(properties::check(name, &data), "{name}/{file} has a secret");
        }
    }
}

#[test]
fn properties_hold_for_randomly_changed_seeds() {
    assert_all_hold(512, |name| {
        let texts: Vec<Vec<u8>> = seeds(name).into_iter().map(|seed| seed.data).collect();
        (select(texts), vec(any::<Change>(), 1..5))
            .prop_map(|(text, changes)| changes.iter().fold(text, changed))
    });
}

#[test]
fn properties_hold_for_input_over_most_size_limits() {
    for (name, _) in properties::ALL {
        properties::check(name, "large ".repeat(50_000).as_bytes());
    }
}

#[test]
fn properties_hold_for_noise() {
    assert_all_hold(256, |_| vec(any::<u8>(), 0..2_000));
}

#[test]
fn each_property_has_its_fuzz_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut targets: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    targets.sort();
    let names = properties::ALL.map(|(name, _)| format!("{name}.rs"));
    assert_eq!(targets, names);
}
