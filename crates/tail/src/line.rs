//! An event as a line for people.

use box_longpoll::Event;
use box_longpoll::event::{Source, User};
use jiff::tz::Offset;

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const CYAN: &str = "\x1b[36m";

/// When, what kind, who, and what it happened to: `2026-01-01T00:00:00Z  ITEM_UPLOAD  Ada Byron  file "plan.pdf"`.
pub(crate) struct Line {
    in_colour: bool,
}

impl Line {
    pub(crate) fn new(in_colour: bool) -> Self {
        Self { in_colour }
    }

    pub(crate) fn of(&self, event: &Event) -> String {
        let when = match (event.created_at(), event.created_at_offset()) {
            (None, _) => "-".into(),
            (Some(time), None | Some(Offset::UTC)) => time.to_string(),
            (Some(time), Some(offset)) => time.display_with_offset(offset).to_string(),
        };
        let kind = event
            .event_type()
            .map_or_else(|| "-".into(), |kind| plain(kind.as_str()));
        let who = event
            .created_by()
            .map_or_else(|| "-".into(), |user| who(&user));
        let what = event
            .source()
            .map_or_else(|| "-".into(), |source| what(&source));
        format!(
            "{}  {}  {}  {what}",
            self.painted(DIM, &when),
            self.painted(BOLD, &kind),
            self.painted(CYAN, &who),
        )
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.in_colour {
            format!("{colour}{text}\x1b[0m")
        } else {
            text.into()
        }
    }
}

fn who(user: &User) -> String {
    if user.is_anonymous() {
        return "somebody".into();
    }
    let name = user.name.as_deref().or(user.login.as_deref());
    name.or(user.id.as_deref())
        .map_or_else(|| "-".into(), plain)
}

fn what(source: &Source) -> String {
    let item = source.item_type().map_or_else(|| "something".into(), plain);
    let item = match (source.name(), source.id()) {
        (Some(name), _) => format!("{item} {name:?}"),
        (None, Some(id)) => format!("{item} {}", plain(id)),
        (None, None) => item,
    };
    let (user, group) = match source {
        Source::Collaboration(shared) => (shared.user.as_ref(), shared.group.as_ref()),
        Source::Group(source) => (source.user.as_ref(), None),
        _ => (None, None),
    };
    let group = group.and_then(|group| group.name.as_deref());
    match user.map(who).or_else(|| group.map(plain)) {
        Some(other) => format!("{item} and {other}"),
        None => item,
    }
}

/// A server's text as it is, or with quotes and escapes where it holds anything but what a line may show: a terminal
/// obeys what it is sent.
fn plain(text: &str) -> String {
    let quoted = format!("{text:?}");
    if text.is_empty() || quoted[1..quoted.len() - 1] != *text {
        quoted
    } else {
        text.into()
    }
}
