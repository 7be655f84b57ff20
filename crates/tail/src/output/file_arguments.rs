//! The arguments for events that go to a file, and the path of the file that follows from them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::cli::usage_error;
use crate::sink::{Encoding, Rotation};

/// The file of the events
#[derive(Args, Default)]
#[command(next_help_heading = "Output")]
pub(super) struct FileArguments {
    /// Moves the file away before it gets larger than this, such as `100MB`: to FILE-TIME, with the
    /// time of its last event in UTC
    #[arg(long, value_name = "SIZE", value_parser = size)]
    rotate_size: Option<u64>,

    /// Moves the file away when the first event of a new period comes: `1h` begins at each full
    /// hour, and `1d` at midnight UTC
    #[arg(long, value_name = "PERIOD", value_parser = period)]
    rotate_every: Option<Duration>,

    /// Compresses the file, and adds .gz to its name; `zcat` reads it at any time
    #[arg(long)]
    gzip: bool,
}

impl FileArguments {
    /// Ends the program if one of the arguments is given, because the events go elsewhere.
    pub(super) fn refuse(&self) {
        if self.gzip || self.rotate_size.is_some() || self.rotate_every.is_some() {
            usage_error("--rotate-size, --rotate-every and --gzip need --to jsonl:FILE");
        }
    }

    /// Returns the path of the file that was given as `path`. Ends the program if that names a
    /// compressed file without `--gzip`.
    pub(super) fn path(&self, path: &Path) -> PathBuf {
        let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
        match (self.encoding(), is_compressed) {
            (Encoding::Plain, false) | (Encoding::Gzip, true) => path.to_owned(),
            (Encoding::Plain, true) => usage_error(&format!(
                "--to: {} is the name of a compressed file: add --gzip",
                path.display()
            )),
            (Encoding::Gzip, false) => {
                let mut path = path.as_os_str().to_owned();
                path.push(".gz");
                path.into()
            }
        }
    }

    pub(super) fn encoding(&self) -> Encoding {
        if self.gzip {
            Encoding::Gzip
        } else {
            Encoding::Plain
        }
    }

    pub(super) fn rotation(&self) -> Rotation {
        Rotation {
            size: self.rotate_size,
            every: self.rotate_every,
        }
    }
}

/// Reads a size in bytes, with a decimal or a binary unit.
fn size(text: &str) -> Result<u64, &'static str> {
    const UNITS: [(&str, u64); 8] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let (number, unit) = UNITS
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)))
        .unwrap_or((text, 1));
    let number: Option<u64> = number.trim_end().parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .filter(|size| *size > 0)
        .ok_or("not a size such as 100MB, 512KiB or 1GB")
}

/// Reads the length of a period in minutes, hours or days.
fn period(text: &str) -> Result<Duration, &'static str> {
    const UNITS: [(&str, u64); 3] = [("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];
    let seconds = UNITS.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(*seconds)
    });
    seconds
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
        .ok_or("not a period such as 1h or 1d")
}
