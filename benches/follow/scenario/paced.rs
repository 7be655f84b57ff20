//! Catching up with a consumer that works on each page: the time for each page.
//!
//! The consumer waits while it "works", so that its work takes no CPU time from the client. Start
//! from [`measure`], the harness's part, or [`Task`], the client's part.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Scenario;
use super::catch_up::ACCOUNT;
use crate::client::{Begin, Client};
use crate::control;
use crate::emulator::Address;
use crate::measure::{as_f64, now_ns, seconds};
use crate::runtime::Runtime as _;
use crate::subject::{Name, Pace, Subject};

/// The client's part.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) pages: usize,
    /// The time in milliseconds for which the consumer works on each page.
    pub(crate) work_ms: u64,
}

impl Task {
    pub(super) fn run<S: Subject>(&self, server: &Address, begin: Begin) {
        let (runtime, subject) = (S::Runtime::new(), S::new(server, Pace::Default));
        let work = Duration::from_millis(self.work_ms);
        let mut came_at = Vec::new();
        begin.wait();
        runtime.block_on(subject.read_pages(ACCOUNT.into(), |events| {
            events.iter().for_each(S::glance);
            came_at.push(now_ns());
            let is_last = came_at.len() == self.pages;
            async move {
                if is_last {
                    return ControlFlow::Break(());
                }
                S::Runtime::sleep(work).await;
                ControlFlow::Continue(())
            }
        }));
        control::reply(&came_at);
    }
}

/// Returns the mean time in seconds from one page to the next.
pub(crate) fn measure(name: Name, server: &Address, task: Task) -> Result<f64, String> {
    let mut client = Client::start(name, server, &Scenario::Paced(task))?;
    client.go()?;
    let came_at: Vec<u64> = client.result(Duration::from_secs(300))?;
    match came_at[..] {
        [first, .., last] => {
            let pages = as_f64(came_at.len() as u64 - 1);
            Ok(seconds(last - first) / pages)
        }
        _ => Err("fewer than two pages".into()),
    }
}
