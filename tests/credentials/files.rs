//! Tests of `CredentialFile` with links, with directories that are gone or in the way, with a
//! read-only file system, and after an interrupted exchange.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use box_longpoll::auth::{Credential, CredentialFile, CredentialStore as _, TokenErrorKind};
use futures_lite::future::block_on;
use tempfile::TempDir;

/// The environment variable with the directory that a test's own process works in.
const DIRECTORY: &str = "CREDENTIALS_TEST_DIRECTORY";

fn credential(refresh_token: &str) -> Credential {
    Credential::new(refresh_token).unwrap()
}

/// Creates a credential file in a new directory.
fn created() -> (TempDir, PathBuf, CredentialFile) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credential");
    let file = CredentialFile::create(&path, &credential("first")).unwrap();
    (directory, path, file)
}

#[track_caller]
fn assert_holds(path: &Path, refresh_token: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(refresh_token), "{text}");
}

#[test]
fn a_byte_order_mark_before_a_credential_is_ignored() {
    let (_directory, path, _) = created();
    fs::write(&path, "\u{feff}{\"refresh_token\": \"first\"}").unwrap();
    CredentialFile::open(&path).unwrap();
}

#[test]
fn create_follows_a_link_to_a_file_that_does_not_exist() {
    let directory = tempfile::tempdir().unwrap();
    let [link, second, target] =
        ["link", "second", "target"].map(|name| directory.path().join(name));
    symlink("second", &link).unwrap();
    symlink(&target, &second).unwrap();
    let file = CredentialFile::create(&link, &credential("first")).unwrap();
    assert_holds(&target, "first");
    file.replace(&credential("next")).unwrap();
    assert_holds(&target, "next");
    assert!(link.is_symlink() && second.is_symlink());
    assert!(!target.is_symlink());
}

#[test]
fn create_refuses_a_link_that_leads_to_itself() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("link");
    symlink("link", &link).unwrap();
    CredentialFile::create(&link, &credential("first")).unwrap_err();
    assert!(link.is_symlink());
}

#[test]
fn a_file_stops_the_stream_when_its_directory_is_gone() {
    let (directory, _, file) = created();
    directory.close().unwrap();
    let error = file.replace(&credential("next")).unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Permanent);
}

#[test]
fn a_file_stops_the_stream_when_its_new_file_is_a_directory() {
    let (_directory, path, file) = created();
    fs::create_dir(path.with_extension("new")).unwrap();
    let error = file.replace(&credential("next")).unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Permanent, "{error}");
    assert_holds(&path, "first");
}

#[test]
fn a_file_stops_the_stream_when_it_is_a_directory() {
    let (_directory, path, file) = created();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = block_on(async { file.lock().await.unwrap().load().await.unwrap_err() });
    assert_eq!(error.kind(), TokenErrorKind::Permanent, "{error}");
}

#[test]
#[ignore = "mounts a file system, which not every machine permits: .ci/run tries it"]
fn a_file_stops_the_stream_when_its_file_system_is_read_only() {
    let mount = r#"exec unshare --map-root-user --mount sh -c '
        mount -t tmpfs tmpfs "$CREDENTIALS_TEST_DIRECTORY" && exec "$0" "$@"' "$0" "$@""#;
    let name = "files::a_file_stops_the_stream_when_its_file_system_is_read_only";
    in_another_process(&["sh", "-c", mount], name, |directory| {
        let path = directory.join("credential");
        let file = CredentialFile::create(&path, &credential("first")).unwrap();
        remount(directory, "ro");
        let error = file.replace(&credential("next")).unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Permanent);
        assert!(error.to_string().contains("Read-only"), "{error}");
        assert_holds(&path, "first");
        remount(directory, "rw");
        file.replace(&credential("next")).unwrap();
        assert_holds(&path, "next");
    });
}

#[track_caller]
fn remount(directory: &Path, how: &str) {
    let options = format!("remount,{how}");
    let mut mount = Command::new("mount");
    mount.args(["-o", &options]).arg(directory);
    assert!(mount.status().unwrap().success());
}

/// `strace` records the calls in the order in which the process makes them.
#[test]
#[ignore = "needs strace and permission to trace: .ci/run has both"]
fn a_new_file_that_was_left_behind_is_synced_before_its_rename() {
    let directory = tempfile::tempdir().unwrap();
    let [calls, new] = ["calls", "work/credential.new"].map(|name| directory.path().join(name));
    let work = directory.path().join("work");
    fs::create_dir(&work).unwrap();
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=fsync,rename",
        "-P",
        new.to_str().unwrap(),
        "-o",
        calls.to_str().unwrap(),
    ];
    let name = "files::a_new_file_that_was_left_behind_is_synced_before_its_rename";
    in_another_process_at(&work, &strace, name, |directory| {
        let path = directory.join("credential");
        let begun = r#"{"refresh_token": "first", "exchanging_since": "2026-01-01T00:00:00Z"}"#;
        fs::write(&path, begun).unwrap();
        let outcome = r#"{"refresh_token": "next", "access_token": "access",
            "access_token_issued_at": "2026-01-01T00:00:00Z",
            "access_token_expires_at": "2026-01-01T01:00:00Z"}"#;
        fs::write(directory.join("credential.new"), outcome).unwrap();
        let file = CredentialFile::open(&path).unwrap();
        block_on(async { file.lock().await.unwrap().load().await.unwrap() });
        assert_holds(&path, "next");
    });
    if env::var_os(DIRECTORY).is_none() {
        let calls = fs::read_to_string(calls).unwrap();
        let made: Vec<&str> = calls
            .lines()
            .filter_map(|line| {
                line.split(['(', ' '])
                    .find(|word| word.starts_with(['f', 'r']))
            })
            .collect();
        assert_eq!(made, ["fsync", "rename"], "{calls}");
    }
}

/// Runs the work in a new directory, and in a process of its own that `runner` starts. `name` is
/// the name of the calling test.
#[track_caller]
fn in_another_process(runner: &[&str], name: &str, work: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    in_another_process_at(directory.path(), runner, name, work);
}

/// Does the same in the directory `at`.
#[track_caller]
fn in_another_process_at(at: &Path, runner: &[&str], name: &str, work: impl FnOnce(&Path)) {
    if let Some(directory) = env::var_os(DIRECTORY) {
        return work(Path::new(&directory));
    }
    let output = Command::new(runner[0])
        .args(&runner[1..])
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--include-ignored"])
        .env(DIRECTORY, at)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let passed = output.status.success() && said.contains("1 passed");
    assert!(passed, "{said}");
}
