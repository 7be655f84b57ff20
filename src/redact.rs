//! What may be shown of a text that came from elsewhere, such as a server's.
//!
//! Secrets and the queries of realtime URLs are taken out, control characters are escaped, and the rest is cut. Start at
//! [`quote`].

use std::error::Error;
use std::fmt;

/// The most of a server's text that is quoted, in characters.
const QUOTED: usize = 200;

/// Box's tokens have 32 characters and more. What is shorter than this is made up, and a part of many words.
const SHORTEST_SECRET: usize = 8;

/// A server's text, made fit to be shown: control characters escaped, cut to 200 characters.
pub(crate) fn quote(text: &str) -> String {
    quote_up_to(QUOTED, text)
}

/// An error and its causes on one line, fit to be shown. No error repeats its cause.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'static));

/// The most of a cause's text that is shown, in characters: what to do, and what Box said.
const CAUSE: usize = 600;

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {}", quote_up_to(CAUSE, &error.to_string()))?;
            cause = error.source();
        }
        Ok(())
    }
}

/// As [`quote`], cut to so many characters.
pub(crate) fn quote_up_to(characters: usize, text: &str) -> String {
    let cut = text.char_indices().nth(characters).map(|(end, _)| end);
    let mut quoted = escaped(&text[..cut.unwrap_or(text.len())]);
    if cut.is_some() {
        quoted.push('…');
    }
    quoted
}

/// What `Debug` escapes, but for quotes and backslashes: so that what is escaped already stays as it is.
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

/// The text with something else where the secret stands.
pub(crate) fn without_secret(text: &str, secret: &str, instead: &str) -> String {
    if secret.len() < SHORTEST_SECRET {
        text.to_owned()
    } else {
        text.replace(secret, instead)
    }
}

/// How a question mark may be written, in JSON and in a URL.
const QUESTION_MARKS: [&str; 4] = ["\\u003f", "\\u003F", "%3f", "%3F"];

/// Takes out what follows a question mark: a server may repeat a realtime URL, whose query gives access.
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
        assert_eq!(quote(&long).chars().count(), QUOTED + 1);
    }

    #[track_caller]
    fn assert_without_queries(text: &str, expected: &str) {
        assert_eq!(without_queries(text), expected);
    }

    #[test]
    fn a_quoted_url_has_no_query_and_a_question_stays() {
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
