//! Escapes for texts of the server, which may contain anything: control characters could control
//! the terminal or break a line.

/// Returns a text unchanged, or in quotes and with escapes if it contains anything that could
/// control the terminal or break the line, or if it is empty.
pub(super) fn quoted_if_needed(text: &str) -> String {
    let quoted = format!("{text:?}");
    if text.is_empty() || quoted[1..quoted.len() - 1] != *text {
        quoted
    } else {
        text.into()
    }
}

/// Returns a text with escapes for control characters and backslashes, without quotes around it.
pub(super) fn escaped(text: &str) -> String {
    let quoted = format!("{text:?}");
    // Each quote inside the quotes has its own backslash directly before it.
    quoted[1..quoted.len() - 1].replace("\\\"", "\"")
}

/// Returns JSON on one line, with JSON's own escapes for all characters that could control the
/// terminal.
pub(super) fn escaped_json(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // They can only stand between tokens: strings have them escaped.
            '\n' | '\r' | '\t' => line.push(' '),
            ' '..='~' => line.push(c),
            _ if c.escape_debug().len() == 1 => line.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    line += &format!("\\u{unit:04x}");
                }
            }
        }
    }
    line
}
