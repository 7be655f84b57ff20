//! The examples' executables, as they were built with the features of this test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The HTTP libraries that are compiled in, as the program names them.
pub(crate) const BACKENDS: &[&str] = &[
    #[cfg(feature = "reqwest")]
    "reqwest",
    #[cfg(feature = "surf")]
    "surf",
    #[cfg(feature = "isahc")]
    "isahc",
];

/// The arguments that choose between the clients that are compiled in.
pub(crate) const CLIENTS: &[&[&str]] = &[
    &[],
    #[cfg(feature = "blocking")]
    &["--blocking"],
];

/// The features that this test was built with, and what the program's help says where it has them.
const FEATURES: &[(&str, &str)] = &[
    #[cfg(feature = "reqwest")]
    ("reqwest", "reqwest"),
    #[cfg(feature = "surf")]
    ("surf", "surf"),
    #[cfg(feature = "isahc")]
    ("isahc", "isahc"),
    #[cfg(feature = "blocking")]
    ("blocking", "--blocking"),
    #[cfg(feature = "jwt")]
    ("jwt", "--jwt-config"),
];

/// `cargo test` builds the examples beside the tests. `cargo test --test tail` alone does not, so that is done here.
pub(crate) static PROGRAM: LazyLock<PathBuf> =
    LazyLock::new(|| example("tail", has_what_this_test_has));

/// An example's executable, which is built where it is not usable.
pub(crate) fn example(name: &str, is_usable: fn(&Path) -> bool) -> PathBuf {
    static BUILDS: Mutex<()> = Mutex::new(());
    let test = std::env::current_exe().expect("a test is a file");
    let profile = test.ancestors().nth(2).expect("it lies in PROFILE/deps");
    let program = profile
        .join("examples")
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION);
    // One test builds it, and the others find it.
    let _builds = BUILDS.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_up_to_date(&program) || !is_usable(&program) {
        build(profile, name);
    }
    program
}

/// Whether the program is newer than what it was made of, which Cargo notes in a file beside it.
fn is_up_to_date(program: &Path) -> bool {
    let changed = |file: &Path| fs::metadata(file).and_then(|file| file.modified()).ok();
    let made = changed(program);
    let sources = fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let mut sources = sources.split_whitespace().skip(1).map(Path::new);
    made.is_some() && sources.all(|source| changed(source).is_some_and(|at| Some(at) <= made))
}

/// Whether the program was built with the features that this test was built with.
fn has_what_this_test_has(program: &Path) -> bool {
    let help = Command::new(program).arg("--help").output();
    help.is_ok_and(|help| {
        let help = String::from_utf8_lossy(&help.stdout);
        FEATURES.iter().all(|(_, said)| help.contains(said))
    })
}

fn build(profile: &Path, example: &str) {
    let target = profile.parent().expect("profiles lie in the target folder");
    let features: Vec<&str> = FEATURES.iter().map(|(feature, _)| *feature).collect();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--example", example, "--no-default-features"])
        .args(["--features", &features.join(",")])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.status().is_ok_and(|status| status.success());
    assert!(built, "the program can't be built");
}
