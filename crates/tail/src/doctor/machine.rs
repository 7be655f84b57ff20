//! The checks of this machine: the limit of open files, and the checkpoint file.

use std::path::Path;

use box_longpoll::StartAt;
use box_longpoll::auth::Subject;
use box_longpoll::checkpoint::{Checkpoint, CheckpointFile};
use jiff::{SignedDuration, Timestamp};

use super::findings::Findings;
use crate::report::with_causes;

/// The name of the check of the checkpoint file.
const CHECKPOINT: &str = "checkpoint";

/// The open files and sockets that the program needs: a poll, a few connections to the API, the
/// outputs and their successors, and a page for some browsers.
#[cfg(unix)]
const FILES_NEEDED: u64 = 64;

/// The time for which Box is sure to keep live events. It keeps past ones for a year.
const KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Compares the limit of open files with the number that the program needs.
#[cfg(unix)]
pub(super) fn check_files(findings: &mut Findings) {
    use rustix::process::{Resource, getrlimit};

    const CHECK: &str = "files";
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < FILES_NEEDED => findings.fail(
            CHECK,
            format!("{limit} files and sockets may be open, and box-tail may need {FILES_NEEDED}"),
            "raise the limit: `ulimit -n 1024`, or LimitNOFILE=1024 in the unit of systemd",
        ),
        Some(limit) => findings.ok(CHECK, format!("{limit} files and sockets may be open")),
        None => findings.ok(CHECK, "there is no limit of open files"),
    }
}

/// Does nothing, because there is no such limit on this system.
#[cfg(not(unix))]
pub(super) fn check_files(_findings: &mut Findings) {}

/// The stream that would resume from the checkpoint.
pub(super) struct Expected<'a> {
    /// The account, if it is known.
    pub(super) subject: Option<Subject>,
    pub(super) origin: &'a str,
    pub(super) is_enterprise: bool,
}

/// Reads the checkpoint file, and compares its owner with the arguments.
pub(super) fn check_checkpoint(file: &Path, expected: &Expected<'_>, findings: &mut Findings) {
    let shown = file.display();
    let checkpoint = match CheckpointFile::read(file) {
        Ok(Some(checkpoint)) => checkpoint,
        Ok(None) => return check_directory(file, findings),
        Err(error) => {
            let remedy = "put back a copy of the file; or move it away, and start at a position \
                          that you know, with --from";
            return findings.fail(CHECKPOINT, with_causes(&error), remedy);
        }
    };
    if let Some(difference) = difference(&checkpoint, expected) {
        let remedy = "name the file of this account, or give the arguments of the other one";
        return findings.fail(CHECKPOINT, format!("{shown} {difference}"), remedy);
    }
    let position = checkpoint.resume_at();
    let last_success = checkpoint.last_success();
    let last_success = Timestamp::try_from(last_success).unwrap_or(Timestamp::MIN);
    let detail = format!("{shown} resumes at {position}, complete at {last_success}");
    let age = Timestamp::now().duration_since(last_success);
    let is_live = matches!(position, StartAt::At(_) | StartAt::Oldest);
    if age > KEPT && is_live && checkpoint.stream_type() != "admin_logs" {
        let days = age.as_hours() / 24;
        let detail = format!("{detail}, {days} days ago: Box may have dropped events since");
        let remedy = "start soon; for an enterprise, find the missing events with `box-tail audit`";
        findings.warn(CHECKPOINT, detail, remedy);
    } else if is_in_use(file) {
        let detail = format!("{detail}; it is in use by another process");
        findings.warn(
            CHECKPOINT,
            detail,
            "end that process before you start another one",
        );
    } else {
        findings.ok(CHECKPOINT, detail);
    }
}

/// Checks the directory of a file that does not exist yet.
fn check_directory(file: &Path, findings: &mut Findings) {
    let shown = file.display();
    let parent = file.parent().map(|parent| Path::new(".").join(parent));
    if parent.is_some_and(|parent| parent.is_dir()) {
        findings.ok(
            CHECKPOINT,
            format!("{shown} does not exist yet: the first run creates it"),
        );
    } else {
        let detail = format!("the directory of {shown} does not exist");
        findings.fail(CHECKPOINT, detail, "create the directory");
    }
}

/// Returns `true` if another process has the checkpoint file open.
fn is_in_use(file: &Path) -> bool {
    // If there is no lock yet, opening the file would create it, and maybe for another user than
    // the one who needs it.
    let lock = file.canonicalize().map(|real| {
        let mut lock = real.into_os_string();
        lock.push(".lock");
        lock
    });
    lock.is_ok_and(|lock| Path::new(&lock).exists())
        && CheckpointFile::open(file).is_err_and(|error| error.is_in_use())
}

/// Returns the difference between the owner of the checkpoint and the stream, for which the program
/// would refuse the checkpoint.
fn difference(checkpoint: &Checkpoint, expected: &Expected<'_>) -> Option<String> {
    let origin = checkpoint.api_origin();
    if origin != expected.origin {
        return Some(format!(
            "belongs to the API {origin}, not to {}",
            expected.origin
        ));
    }
    let is_enterprise = checkpoint.stream_type() == "admin_logs_streaming";
    if is_enterprise != expected.is_enterprise {
        let stream_type = checkpoint.stream_type();
        return Some(format!("belongs to a stream of the type {stream_type}"));
    }
    match (checkpoint.subject(), &expected.subject) {
        (Some(its), Some(ours)) if its != ours => Some(format!("belongs to {its}, not to {ours}")),
        (Some(its), None) => Some(format!("belongs to {its}, not to the token's own account")),
        _ => None,
    }
}
