//! What a process has used: of the clock, the processor, the memory and the threads.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// What this process has used so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// The moment, on a clock that all processes of the machine share.
    pub(crate) at_ns: u64,
    /// User and system time of all threads.
    pub(crate) cpu_ns: u64,
    /// Memory that is resident and belongs to no file, in bytes.
    pub(crate) memory: u64,
    /// The most memory that was ever resident, in bytes.
    pub(crate) peak: u64,
    /// All threads but the one that listens to the harness.
    pub(crate) threads: u64,
}

impl Usage {
    pub(crate) fn now() -> Self {
        let (at_ns, cpu_ns) = (now_ns(), read(ClockId::ProcessCPUTime));
        let status = std::fs::read_to_string("/proc/self/status")
            .expect("Linux tells a process about itself");
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

/// The moment, on a clock that all processes of the machine share.
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
    reason = "no figure has as many digits as it keeps"
)]
pub(crate) fn as_f64(number: u64) -> f64 {
    number as f64
}
