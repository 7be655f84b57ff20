//! [`fake_box`]: the fake Box inside the program, for a demonstration without an account.

use box_longpoll_testkit::{AdminLogsOrder, EmulatorServer, PastEvents, Settings};

use clap::Args;

use crate::report;

/// The argument for the fake Box
#[derive(Args)]
pub(crate) struct DemoArguments {
    /// Uses a fake Box inside the program, even if there is an access token
    #[arg(
        long,
        help_heading = "Account",
        conflicts_with_all = [
            "api", "token", "token_file", "client_id", "client_secret", "client_secret_file", "subject",
        ]
    )]
    #[cfg_attr(feature = "jwt", arg(conflicts_with = "jwt_config"))]
    pub(crate) demo: bool,
}

/// The access token for the fake Box, which is also the name of its account.
pub(crate) const DEMO_ACCOUNT: &str = "demo";

/// The rate of the fake Box, in events per second. It is low enough to read each line.
const RATE: f64 = 4.0;

/// The number of events of the last year in the fake Box of an enterprise.
const PAST_EVENTS: u32 = 20_000;

/// Starts the fake Box. `past_account` gets the past events of an enterprise.
pub(crate) fn fake_box(past_account: Option<&str>) -> EmulatorServer {
    report::print_line(
        "this is a fake Box inside the program, and its events are made up (set \
         BOX_ACCESS_TOKEN to follow the real one)",
    );
    let fake_box = EmulatorServer::start_with(Settings {
        rate: RATE,
        admin_logs_order: AdminLogsOrder::Chronological,
        ..Settings::default()
    });
    if let Some(account) = past_account {
        let past = PastEvents::year_until(fake_box.unix(), PAST_EVENTS);
        fake_box.append_past(account, &past);
    }
    fake_box
}
