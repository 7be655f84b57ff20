//! The settings in a file: TOML, whose keys are the long options of `follow`.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};
use toml::de::{DeTable, DeValue};

use super::{FILE, Origin, Setting, Values, is_secret};
use crate::cli::usage_error;

/// Reads the settings in a file. Ends the program if it can't be read, or has a key that is not an
/// option.
pub(super) fn settings(path: &Path, follow: &Command) -> Vec<Setting> {
    let wrong = |line: usize, text: &str| -> ! {
        usage_error(&format!("{}:{line}: {text}", path.display()))
    };
    let (text, is_private) = match read(path) {
        Ok(read) => read,
        Err(error) => usage_error(&format!("cannot read {}: {error}", path.display())),
    };
    let line = |span: Range<usize>| 1 + text[..span.start].matches('\n').count();
    let table = DeTable::parse(&text).unwrap_or_else(|error| {
        let line = error.span().map_or(1, line);
        wrong(line, error.message())
    });
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let setting = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let (line, key) = (line(key.span()), AsRef::<str>::as_ref(key.get_ref()));
        let arg = option(key, follow).unwrap_or_else(|why| wrong(line, &why));
        if is_secret(arg) && !is_private {
            wrong(
                line,
                &format!(
                    "{key}: other users of this machine can read the file: remove their right to \
                     do so, or put the secret into a file for {key}-file"
                ),
            );
        }
        let values = values(value.get_ref(), arg).unwrap_or_else(|wanted| {
            let found = value.get_ref().type_str();
            wrong(
                line,
                &format!("{key}: expected {wanted}, found a TOML {found}"),
            )
        });
        Setting::new(arg, values, Origin::File(path.into(), line))
    };
    entries.into_iter().map(setting).collect()
}

/// Reads a file. Returns its text, and `true` if other users can't read it.
fn read(path: &Path) -> io::Result<(String, bool)> {
    let mut file = File::open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((text, is_private(&file)?))
}

/// Returns `true` if only the owner and the group of the file can read it.
#[cfg(unix)]
fn is_private(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    /// The right of all others to read a file.
    const OTHERS_READ: u32 = 0o004;

    Ok(file.metadata()?.mode() & OTHERS_READ == 0)
}

/// Returns `true`: on this system, the rights to a file are not in its mode.
#[cfg(not(unix))]
fn is_private(_file: &File) -> io::Result<bool> {
    Ok(true)
}

/// Returns the option for a key, or the reason why there is none.
fn option<'a>(key: &str, follow: &'a Command) -> Result<&'a Arg, String> {
    if key == FILE {
        return Err(format!("{key}: a file can't name another file"));
    }
    let mut options = follow.get_arguments();
    options
        .find(|arg| arg.get_long() == Some(key))
        .ok_or_else(|| match similar(key, follow) {
            Some(name) => format!("unknown key {key:?}: is it {name:?}?"),
            None => format!("unknown key {key:?}: `box-tail follow --help` lists the options"),
        })
}

/// Returns the name of the option that is most similar to a key, if there is one. Clap finds it.
fn similar(key: &str, follow: &Command) -> Option<String> {
    let arguments = [FILE.to_owned(), format!("--{key}")];
    let error = follow.clone().try_get_matches_from(arguments).err()?;
    match error.get(ContextKind::SuggestedArg)? {
        ContextValue::String(name) => Some(name.trim_start_matches("--").to_owned()),
        _ => None,
    }
}

/// Returns the values of an option, or the type that it should have.
fn values(value: &DeValue<'_>, arg: &Arg) -> Result<Values, &'static str> {
    match (arg.get_action(), value) {
        (ArgAction::Append, DeValue::Array(values)) => {
            let texts = values.iter().map(|value| text(value.get_ref()));
            let texts: Option<Vec<_>> = texts.map(|text| text.map(Into::into)).collect();
            texts.map(Values::Texts).ok_or("texts in the list")
        }
        (action, value) if action.takes_values() => match text(value) {
            Some(text) => Ok(Values::Texts(vec![text.into()])),
            None if matches!(action, ArgAction::Append) => Err("a text, or a list of texts"),
            None => Err("a text"),
        },
        (_, DeValue::Boolean(is_on)) => Ok(Values::Switch(*is_on)),
        _ => Err("true or false"),
    }
}

/// Returns a value as it would stand on the command line.
fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
