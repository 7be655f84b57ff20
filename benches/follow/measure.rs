//! The resources that a process has used: time, CPU time, memory and threads.
//!
//! The figures come from the clocks and from `/proc`, so this needs Linux. Start from
//! [`Usage::now`].

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The resources that this process has used so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// The time in nanoseconds, on a clock that all processes of the machine share.
    pub(crate) at_ns: u64,
    /// User and system time of all threads, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Resident memory that belongs to no file, in bytes.
    pub(crate) memory: u64,
    /// The peak of the resident memory, in bytes.
    pub(crate) peak: u64,
    /// The number of threads, without the one that listens to the harness.
    pub(crate) threads: u64,
}

impl Usage {
    pub(crate) fn now() -> Self {
        let (at_ns, cpu_ns) = (now_ns(), read(ClockId::ProcessCPUTime));
        let status = std::fs::read_to_string("/proc/self/status")
            .expect("Linux has the status of each process");
        let number = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let value = line.and_then(|line| line.split_whitespace().next());
            value.and_then(|value| value.parse().ok()).unwrap_or(0_u64)
        };
        Self {
            at_ns,
            cpu_ns,
            memory: number("RssAnon:") << 10,
            peak: number("VmHWM:") << 10,
            threads: number("Threads:") - 1,
        }
    }
}

/// Returns the time in nanoseconds, on a clock that all processes of the machine share.
pub(crate) fn now_ns() -> u64 {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let part = |number: i64| u64::try_from(number).expect("these clocks begin at zero");
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

pub(crate) fn seconds(nanoseconds: u64) -> f64 {
    as_f64(nanoseconds) / 1e9
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no figure has more digits than an f64 keeps"
)]
pub(crate) fn as_f64(number: u64) -> f64 {
    number as f64
}
