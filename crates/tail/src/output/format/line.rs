//! [`Line`]: an event as a line of text for people.
//!
//! Texts of the server may contain control characters, which could control the terminal. They are
//! escaped.

use box_longpoll::Event;
use box_longpoll::event::{Source, User};
use jiff::tz::Offset;

use super::escape::quoted_if_needed;

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const CYAN: &str = "\x1b[36m";

/// The format of a line: the time, the event type, the user, and the item.
///
/// An example is `2026-01-01T00:00:00Z  ITEM_UPLOAD  Ada Byron  file "plan.pdf"`.
#[derive(Clone)]
pub(crate) struct Line {
    is_colored: bool,
}

impl Line {
    pub(crate) fn new(is_colored: bool) -> Self {
        Self { is_colored }
    }

    /// Returns the line for an event.
    pub(crate) fn of(&self, event: &Event) -> String {
        let when = match (event.created_at(), event.created_at_offset()) {
            (None, _) => "-".into(),
            (Some(time), None | Some(Offset::UTC)) => time.to_string(),
            (Some(time), Some(offset)) => time.display_with_offset(offset).to_string(),
        };
        let kind = event
            .event_type()
            .map_or_else(|| "-".into(), |kind| quoted_if_needed(kind.as_str()));
        let who = event
            .created_by()
            .map_or_else(|| "-".into(), |user| who(&user));
        let what = event
            .source()
            .map_or_else(|| "-".into(), |source| what(&source));
        format!(
            "{}  {}  {}  {what}",
            self.colored(DIM, &when),
            self.colored(BOLD, &kind),
            self.colored(CYAN, &who),
        )
    }

    /// Returns the text in a color, if the line is colored.
    fn colored(&self, color: &str, text: &str) -> String {
        if self.is_colored {
            format!("{color}{text}\x1b[0m")
        } else {
            text.into()
        }
    }
}

/// Returns the name of a user.
pub(crate) fn who(user: &User) -> String {
    if user.is_anonymous() {
        return "somebody".into();
    }
    let name = user.name.as_deref().or(user.login.as_deref());
    name.or(user.id.as_deref())
        .map_or_else(|| "-".into(), quoted_if_needed)
}

/// Returns the type and the name of an item, and the user or group that the event is about.
pub(crate) fn what(source: &Source) -> String {
    let item = source
        .item_type()
        .map_or_else(|| "something".into(), quoted_if_needed);
    let item = match (source.name(), source.id()) {
        (Some(name), _) => format!("{item} {name:?}"),
        (None, Some(id)) => format!("{item} {}", quoted_if_needed(id)),
        (None, None) => item,
    };
    let (user, group) = match source {
        Source::Collaboration(shared) => (shared.user.as_ref(), shared.group.as_ref()),
        Source::Group(source) => (source.user.as_ref(), None),
        _ => (None, None),
    };
    let group = group.and_then(|group| group.name.as_deref());
    match user.map(who).or_else(|| group.map(quoted_if_needed)) {
        Some(other) => format!("{item} and {other}"),
        None => item,
    }
}
