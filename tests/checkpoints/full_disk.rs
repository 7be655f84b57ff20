//! Tests with a real file system that is full or read-only. Each runs in a process of its own, so
//! that other tests can still write their files.

use std::error::Error as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use box_longpoll::checkpoint::CheckpointFile;
use box_longpoll::{ErrorKind, StartAt, Status};

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::world::{ACCOUNT, build, follow, idle_until, ids, in_time, next_batch, started};

/// The environment variable of the process whose disk becomes full. Its value is the directory that
/// the process writes to.
const DIRECTORY: &str = "BOX_LONGPOLL_TEST_DIRECTORY";

/// The ways in which the disk becomes full, and gets room again.
#[derive(Clone, Copy)]
enum Disk {
    /// No file of the process may be longer than 100 bytes, so a save fails in the middle.
    OfAFewBytes,
    /// The file system has no room, so a save fails at its first byte.
    WithoutRoom,
    /// The file system is read-only, so a save fails before it writes. Linux can remount a file
    /// system as read-only when it finds errors.
    ReadOnly,
}

#[tokio::test]
async fn x02_a_disk_of_a_few_bytes_pauses_delivery_and_loses_nothing() {
    // A write that is too long also causes a signal, which would end the process.
    let run = r#"trap '' XFSZ; exec "$0" "$@""#;
    let name = "full_disk::x02_a_disk_of_a_few_bytes_pauses_delivery_and_loses_nothing";
    alone(run, name, Disk::OfAFewBytes).await;
}

#[tokio::test]
#[ignore = "mounts a file system, which not every machine permits: .ci/run tries it"]
async fn x02_a_disk_without_room_pauses_delivery_and_loses_nothing() {
    let run = r#"exec unshare --map-root-user --mount sh -c '
        mount -t tmpfs -o size=64k tmpfs "$BOX_LONGPOLL_TEST_DIRECTORY" && exec "$0" "$@"' "$0" "$@""#;
    let name = "full_disk::x02_a_disk_without_room_pauses_delivery_and_loses_nothing";
    alone(run, name, Disk::WithoutRoom).await;
}

#[tokio::test]
#[ignore = "mounts a file system, which not every machine permits: .ci/run tries it"]
async fn x02_a_read_only_disk_pauses_delivery_and_loses_nothing() {
    let run = r#"exec unshare --map-root-user --mount sh -c '
        mount -t tmpfs tmpfs "$BOX_LONGPOLL_TEST_DIRECTORY" && exec "$0" "$@"' "$0" "$@""#;
    let name = "full_disk::x02_a_read_only_disk_pauses_delivery_and_loses_nothing";
    alone(run, name, Disk::ReadOnly).await;
}

/// Runs the test again in a process of its own, because other tests have files to write.
async fn alone(run: &str, name: &str, disk: Disk) {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return assert_pauses_while_full(disk, directory.into()).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", run])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--include-ignored"])
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let passed = output.status.success() && said.contains("1 passed");
    assert!(passed, "{said}");
}

async fn assert_pauses_while_full(disk: Disk, directory: PathBuf) {
    let server = fake_box(|_| ());
    server.append(TOKEN, 20);
    let store = CheckpointFile::open(directory.join("checkpoint")).unwrap();
    let file = store.path().to_owned();
    let settings = builder(&server).page_limit(2).max_unacknowledged(3);
    let client = build(settings.read_ahead(0));
    let subscription = in_time(started(client.subscribe(store, ACCOUNT, StartAt::Oldest))).await;
    let mut subscription = subscription.unwrap();
    let mut came = follow(&mut subscription, 2).await;
    let durable = subscription.resume_at();
    let saved = fs::read(&file).unwrap();

    disk.fill(&directory);
    for _ in 0..3 {
        let batch = next_batch(&mut subscription).await;
        came.extend(ids(&batch));
        let error = in_time(batch.ack()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        let why = error.source().unwrap().to_string();
        assert!(why.contains(file.to_str().unwrap()), "{why}");
    }
    idle_until(&mut subscription, |subscription| {
        matches!(subscription.status(), Status::NotSaving { batches: 3, .. })
    })
    .await;
    let before = server.counters();
    assert_eq!(before.events_served, 8, "the stream does not read ahead");
    // Meanwhile it retries the save, and each new status has the time of the next attempt.
    let until = not_saving_until(&subscription.status());
    idle_until(&mut subscription, |subscription| {
        not_saving_until(&subscription.status()) != until
    })
    .await;
    assert_eq!(server.counters().total, before.total);
    assert_eq!(subscription.resume_at(), durable);
    assert!(
        fs::read(&file).unwrap() == saved,
        "a restart finds the old checkpoint"
    );

    disk.make_room(&directory);
    came.extend(follow(&mut subscription, 12).await);
    assert_eq!(came, server.event_ids(TOKEN));
    let newest = server.emulator().newest_position(TOKEN);
    assert_eq!(
        subscription.resume_at().position().unwrap().as_str(),
        newest
    );
    assert!(!directory.join("checkpoint.new").exists());
}

#[track_caller]
fn not_saving_until(status: &Status) -> SystemTime {
    match status {
        Status::NotSaving { until, .. } => *until,
        other => panic!("{other:?}"),
    }
}

impl Disk {
    fn fill(self, directory: &Path) {
        match self {
            Self::OfAFewBytes => limit_files("100"),
            Self::WithoutRoom => {
                let mut filler = File::create(directory.join("filler")).unwrap();
                while filler.write_all(&[0; 4_096]).is_ok() {}
            }
            // The store has its lock file open, so the file system itself is busy and can't be
            // remounted. A bind mount of the directory can.
            Self::ReadOnly => {
                run("mount", &["--bind"], &[directory, directory]);
                run("mount", &["-o", "remount,bind,ro"], &[directory]);
            }
        }
    }

    fn make_room(self, directory: &Path) {
        match self {
            Self::OfAFewBytes => limit_files("unlimited"),
            Self::WithoutRoom => fs::remove_file(directory.join("filler")).unwrap(),
            Self::ReadOnly => run("umount", &[], &[directory]),
        }
    }
}

#[track_caller]
fn run(program: &str, options: &[&str], directories: &[&Path]) {
    let mut command = Command::new(program);
    command.args(options).args(directories);
    assert!(command.status().unwrap().success());
}

/// Limits the length in bytes of each file that this process writes.
fn limit_files(bytes: &str) {
    let id = std::process::id().to_string();
    let limit = format!("--fsize={bytes}:");
    let set = Command::new("prlimit")
        .args(["--pid", &id, &limit])
        .status();
    assert!(set.unwrap().success());
}
