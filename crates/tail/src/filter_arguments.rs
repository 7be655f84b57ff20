//! The arguments that select events, and the library's filter that follows from them.

use box_longpoll::event::EventFilter;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

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
}

impl FilterArguments {
    /// Returns the filter. Without arguments, every event matches it.
    pub(crate) fn filter(&self) -> EventFilter {
        EventFilter::new()
            .event_types(self.event_types.iter().map(String::as_str))
            .users(&self.users)
            .items(&self.items)
            .folders(&self.folders)
    }
}
