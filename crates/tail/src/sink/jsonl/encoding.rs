//! [`Encoding`]: the bytes of a page in a file.

use std::io::{self, Write as _};

use flate2::{Compression, GzBuilder};

/// The encoding of a file of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    /// Each page is a gzip member. Programs that read gzip files take any number of members for one
    /// text.
    Gzip,
}

/// The header of each gzip member. It ends with a comment, by which the last member of a file is
/// found. In Unicode text, its second byte never follows the first one.
pub(super) const HEADER: &[u8] = b"\x1f\x8b\x08\x10\0\0\0\0\0\xffpage of box-tail\0";

const COMMENT: &str = "page of box-tail";

/// The operating system in the header: unknown.
const UNKNOWN: u8 = 255;

impl Encoding {
    /// Returns the page that has these lines.
    pub(super) fn encode(self, lines: String) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain => Ok(lines.into_bytes()),
            Self::Gzip => {
                let header = GzBuilder::new().comment(COMMENT).operating_system(UNKNOWN);
                let mut member = header.write(Vec::new(), Compression::default());
                member.write_all(lines.as_bytes())?;
                member.finish()
            }
        }
    }

    /// Returns the extension of a file.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => ".gz",
        }
    }
}
