//! The arguments that select events, and the library's filter that follows from them.

use box_longpoll::event::EventFilter;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::cli::usage_error;

/// The events to show
#[derive(Args)]
#[command(next_help_heading = "Filters (several values of one option are alternatives)")]
pub(crate) struct FilterArguments {
    /// Shows only events of this type, such as `ITEM_UPLOAD`
    #[arg(long = "type", value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    event_types: Vec<String>,

    /// Shows only events that the user with this id has caused
    #[arg(long = "user", value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    users: Vec<String>,

    /// Shows only events about the file, folder or other item with this id
    #[arg(long = "item", value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    items: Vec<String>,

    /// Shows only events about the folder with this id, and about everything below it
    #[arg(long = "folder", value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    folders: Vec<String>,

    /// Shows only events that came from this IP address or network, such as `192.0.2.0/24`; only an
    /// enterprise's events have addresses
    #[arg(long = "ip", value_name = "ADDRESS", value_parser = NonEmptyStringValueParser::new())]
    ip_addresses: Vec<String>,
}

impl FilterArguments {
    /// Returns the filter. Without arguments, every event matches it. Ends the program if an address
    /// is malformed.
    pub(crate) fn filter(&self) -> EventFilter {
        let filter = EventFilter::new()
            .event_types(self.event_types())
            .users(&self.users)
            .items(&self.items)
            .folders(&self.folders)
            .ip_addresses(&self.ip_addresses);
        filter.unwrap_or_else(|error| usage_error(&format!("--ip: {error}")))
    }

    /// Returns the types of events to show. If there are none, all types are shown.
    pub(crate) fn event_types(&self) -> impl Iterator<Item = &str> {
        self.event_types.iter().map(String::as_str)
    }
}
