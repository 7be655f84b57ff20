//! Texts from elsewhere, such as a server's, in a form that is safe to show.
//!
//! A hostile text may repeat secrets, contain control characters for a terminal, or be very long.
//! This module removes secrets and the queries of realtime URLs, escapes control characters, and
//! cuts the rest. It does not know the secrets: callers pass them. Start at [`quote`].

use std::error::Error;
use std::fmt;

/// The most of a server's text that is quoted, in characters.
const MAX_QUOTED: usize = 200;

/// The shortest secret that is removed from texts, in bytes. Box's tokens have at least 32
/// characters. A shorter secret only occurs in tests, and may be a part of many words.
const SHORTEST_SECRET: usize = 8;

/// Returns a server's text with escaped control characters, cut to 200 characters.
pub(crate) fn quote(text: &str) -> String {
    quote_up_to(MAX_QUOTED, text)
}

/// An error and its causes on one line. Each cause is escaped and cut. No error may repeat its
/// cause.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'static));

/// The most of a cause's text that is shown, in characters: room for the advice and for Box's
/// words.
const MAX_CAUSE: usize = 600;

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {}", quote_up_to(MAX_CAUSE, &error.to_string()))?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Returns a text with escaped control characters, cut to so many characters.
pub(crate) fn quote_up_to(characters: usize, text: &str) -> String {
    let cut = text.char_indices().nth(characters).map(|(end, _)| end);
    let mut quoted = escaped(&text[..cut.unwrap_or(text.len())]);
    if cut.is_some() {
        quoted.push('…');
    }
    quoted
}

/// Escapes the characters that `Debug` escapes, except quotes and backslashes: a text that is
/// already escaped stays unchanged.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '\'' | '\\') {
            escaped.push(c);
        } else {
            escaped.extend(c.escape_debug());
        }
    }
    escaped
}

/// Returns the text with `instead` in place of the secret.
pub(crate) fn without_secret(text: &str, secret: &str, instead: &str) -> String {
    if secret.len() < SHORTEST_SECRET {
        text.to_owned()
    } else {
        text.replace(secret, instead)
    }
}

/// The spellings of an escaped question mark, in JSON and in a URL.
const QUESTION_MARKS: [&str; 4] = ["\\u003f", "\\u003F", "%3f", "%3F"];

/// Replaces the text from each question mark to the next white space, quote or angle bracket. A
/// server may repeat a realtime URL, whose query gives access.
pub(crate) fn without_queries(text: &str) -> String {
    let plain = |text: String, spelling| text.replace(spelling, "?");
    let text = QUESTION_MARKS.into_iter().fold(text.to_owned(), plain);
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, query)) = rest.split_once('?') {
        let end = query.find(ends).unwrap_or(query.len());
        shown += before;
        shown += if end == 0 { "?" } else { "?[query]" };
        rest = &query[end..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_escaped_and_cut() {
        assert_eq!(quote("it's\u{1b}[31m\nb"), "it's\\u{1b}[31m\\nb");
        let long = "x".repeat(10_000);
        assert_eq!(quote(&long).chars().count(), MAX_QUOTED + 1);
    }

    #[track_caller]
    fn assert_without_queries(text: &str, expected: &str) {
        assert_eq!(without_queries(text), expected);
    }

    #[test]
    fn query_of_a_url_is_removed_and_a_question_stays() {
        assert_without_queries(
            r#"GET "https:\/\/a.box.net\/s?type=all\u0026channel=c" to /s?channel=c HTTP/1.1"#,
            r#"GET "https:\/\/a.box.net\/s?[query]" to /s?[query] HTTP/1.1"#,
        );
        assert_without_queries("?a=?channel=c", "?[query]");
        assert_without_queries("?a='x'&channel=c it", "?[query] it");
        assert_without_queries(
            r"/s\u003fchannel=c and %3Fchannel%3Dc",
            "/s?[query] and ?[query]",
        );
        assert_without_queries("Sure? Yes?", "Sure? Yes?");
    }
}
