//! The streams of a user, and the events that each of them shows.
//!
//! The stream type filters pages and signals. Box documents it only in words, so the types of
//! events here are an interpretation. Enterprise streams have no type. Start from [`UserStream`].

use serde::Deserialize;

use crate::content::EventHead;

/// The types of events that may change the tree of files and folders.
///
/// Events of other types or without a type belong only to `all`: previews, downloads, logins,
/// comments, locks, shared links. Box documents the difference in words and has no table.
const CHANGES: [&str; 15] = [
    // An item is created, gets new content, moves, or is deleted.
    "ITEM_CREATE",
    "ITEM_UPLOAD",
    "ITEM_MODIFY",
    "ITEM_MAKE_CURRENT_VERSION",
    "ITEM_COPY",
    "ITEM_MOVE",
    "ITEM_RENAME",
    "ITEM_TRASH",
    "ITEM_UNDELETE_VIA_TRASH",
    // A folder joins or leaves the synced part of the tree.
    "ITEM_SYNC",
    "ITEM_UNSYNC",
    // Somebody's tree gains or loses a shared folder, or the right to change it.
    "COLLAB_ADD_COLLABORATOR",
    "COLLAB_INVITE_COLLABORATOR",
    "COLLAB_REMOVE_COLLABORATOR",
    "COLLAB_ROLE_CHANGE",
];

/// The `stream_type` of a user's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UserStream {
    /// Every event.
    #[default]
    All,
    /// The events whose type is one of [`CHANGES`].
    Changes,
    /// The events of `Changes` whose `source` contains `"synced":true`.
    Sync,
}

impl UserStream {
    /// Reads the `stream_type` of a request. Returns `None` if it does not name a stream of a user.
    pub(crate) fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("" | "all") => Some(Self::All),
            Some("changes") => Some(Self::Changes),
            Some("sync") => Some(Self::Sync),
            Some(_) => None,
        }
    }

    /// Returns the value of `stream_type` for the stream.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Changes => "changes",
            Self::Sync => "sync",
        }
    }

    /// Returns `true` if the stream shows the event. For `All` it is not parsed.
    pub(crate) fn shows(self, json: &str) -> bool {
        match self {
            Self::All => true,
            Self::Changes => is_change(json),
            Self::Sync => is_change(json) && is_synced(json),
        }
    }
}

fn is_change(json: &str) -> bool {
    let event_type = EventHead::of(json).event_type;
    event_type
        .as_str()
        .is_some_and(|name| CHANGES.contains(&name))
}

fn is_synced(json: &str) -> bool {
    #[derive(Deserialize)]
    struct Event {
        source: Source,
    }
    #[derive(Deserialize)]
    struct Source {
        synced: bool,
    }
    serde_json::from_str::<Event>(json).is_ok_and(|event| event.source.synced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_names_every_type_of_changes() {
        let readme = include_str!("../README.md");
        for event_type in CHANGES {
            assert!(readme.contains(&format!("`{event_type}`")), "{event_type}");
        }
    }

    #[test]
    fn each_stream_shows_the_events_of_its_type() {
        let file = |event_type: &str, source: &str| {
            format!(r#"{{"event_type":"{event_type}","source":{source}}}"#)
        };
        let shown = |json: &str| {
            [UserStream::All, UserStream::Changes, UserStream::Sync]
                .map(|stream| stream.shows(json))
        };
        for event_type in CHANGES {
            let synced = file(event_type, r#"{"type":"folder","synced":true}"#);
            assert_eq!(shown(&synced), [true, true, true], "{synced}");
            for source in [r#"{"type":"folder","synced":false}"#, "{}", "null", "7"] {
                let elsewhere = file(event_type, source);
                assert_eq!(shown(&elsewhere), [true, true, false], "{elsewhere}");
            }
        }
        for event_type in [
            "ITEM_PREVIEW",
            "ITEM_DOWNLOAD",
            "LOGIN",
            "COMMENT_CREATE",
            "",
        ] {
            let other = file(event_type, r#"{"type":"folder","synced":true}"#);
            assert_eq!(shown(&other), [true, false, false], "{other}");
        }
        for odd in ["null", "7", "{}", r#"{"event_type":7}"#] {
            assert_eq!(shown(odd), [true, false, false], "{odd}");
        }
    }
}
