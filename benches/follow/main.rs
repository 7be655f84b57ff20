//! Measures how the library follows accounts, over each backend.
//!
//! For comparison, the program also measures the floor, the least that a client could do. Each
//! measurement runs in processes of its own, which the program starts from itself: an emulator and
//! a client. `benches/README.md` explains the output. Start from [`Plan`], or from [`DistantPlan`]
//! with `--rtt`.

mod arguments;
mod backends;
mod client;
mod control;
mod distant;
mod emulator;
mod floor;
#[cfg(feature = "reqwest")]
mod history;
#[cfg(any(feature = "reqwest", feature = "isahc", feature = "surf"))]
mod library;
mod measure;
mod plan;
mod relay;
mod report;
mod runtime;
mod scenario;
mod subject;

use std::process::ExitCode;

use clap::Parser as _;
use rustix::process::{Resource, getrlimit, setrlimit};

use self::arguments::{Arguments, Role};
use self::distant::DistantPlan;
use self::plan::Plan;
use self::report::Report;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match &arguments.role {
        Some(Role::Emulator { conditions }) => {
            raise_descriptor_limit();
            emulator::run(conditions);
        }
        Some(Role::Client {
            name,
            server,
            scenario,
        }) => {
            raise_descriptor_limit();
            client::run(*name, server, scenario);
        }
        #[cfg(feature = "reqwest")]
        Some(Role::HistoryClient { server, task }) => history::read(server, *task),
        None => return measure(&arguments),
    }
    ExitCode::SUCCESS
}

fn measure(arguments: &Arguments) -> ExitCode {
    let mut report = Report::default();
    #[cfg(feature = "reqwest")]
    if let Some(plan) = history::HistoryPlan::of(arguments) {
        plan.carry_out(&mut report);
        report.print_table();
        return ExitCode::SUCCESS;
    }
    if let Some(plan) = DistantPlan::of(arguments) {
        plan.carry_out(&mut report);
        report.print_table();
        return ExitCode::SUCCESS;
    }
    let plan = Plan::of(arguments);
    plan.carry_out(&mut report);
    report.print_table();
    match plan.verdict(&report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// Raises the limit of file descriptors to its maximum, for thousands of connections.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If this fails, the figures of many streams report it.
    let _ = setrlimit(Resource::Nofile, limit);
}
