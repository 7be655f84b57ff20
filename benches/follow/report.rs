//! The figures of a run, collected over its rounds.
//!
//! The report prints each figure for programs as soon as it has a value, so that a run that is cut
//! short keeps what it measured. At the end, it prints a table for people. Start from [`Report`].

use std::collections::BTreeMap;

use crate::subject::Name;

/// The unit of a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    Seconds,
    Bytes,
    Count,
    PerSecond,
    /// Round trips, of the distance to the server.
    RoundTrips,
    /// The requests for each event, on average.
    Requests,
}

impl Unit {
    fn readable(self, value: f64) -> String {
        match self {
            Self::Seconds if value < 0.1 => format!("{:.3} ms", value * 1e3),
            Self::Seconds => format!("{value:.3} s"),
            Self::Bytes if value >= 10_000_000.0 => format!("{:.1} MB", value / 1e6),
            Self::Bytes => format!("{:.1} KB", value / 1e3),
            Self::Count => format!("{value:.0}"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::RoundTrips => format!("{value:.2} RTT"),
            Self::Requests => format!("{value:.2}"),
        }
    }

    fn exact(self, value: f64) -> String {
        match self {
            Self::Seconds => format!("{value:.6}"),
            Self::RoundTrips | Self::Requests => format!("{value:.3}"),
            Self::Bytes | Self::Count | Self::PerSecond => format!("{value:.0}"),
        }
    }
}

/// One figure, with all rounds of all subjects.
#[derive(Debug)]
struct Figure {
    name: String,
    unit: Unit,
    /// The rounds, by the name of the subject.
    subjects: BTreeMap<&'static str, Rounds>,
}

impl Figure {
    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let floor = self.subjects.get(Name::Floor.text());
        let floor = floor.and_then(Rounds::median);
        self.subjects.iter().map(move |(&subject, rounds)| Line {
            figure: self,
            subject,
            rounds,
            median: rounds.median(),
            floor,
        })
    }
}

/// The values of one figure of one subject.
#[derive(Debug, Default)]
struct Rounds {
    values: Vec<f64>,
    /// The reason why a round has no value.
    missing: Option<String>,
}

impl Rounds {
    fn median(&self) -> Option<f64> {
        if self.missing.is_some() || self.values.is_empty() {
            return None;
        }
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        let (below, above) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(f64::midpoint(below, above))
    }

    fn spread(&self) -> (f64, f64) {
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.values.iter().copied().fold(0.0, f64::max);
        (least, most)
    }
}

/// The figures in the order in which they were first measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

/// The name under which the emulator's own figures are printed.
const EMULATOR: &str = "emulator";

impl Report {
    pub(crate) fn record(
        &mut self,
        name: Name,
        figure: &str,
        unit: Unit,
        value: Result<f64, String>,
    ) {
        self.add(name.text(), figure, unit, value.map(|value| vec![value]));
    }

    /// Records the values of many events, whose median is the figure.
    pub(crate) fn record_all(
        &mut self,
        name: Name,
        figure: &str,
        unit: Unit,
        values: Result<Vec<f64>, String>,
    ) {
        self.add(name.text(), figure, unit, values);
    }

    pub(crate) fn record_emulator(&mut self, figure: &str, unit: Unit, value: Result<f64, String>) {
        self.add(EMULATOR, figure, unit, value.map(|value| vec![value]));
    }

    fn add(
        &mut self,
        subject: &'static str,
        figure: &str,
        unit: Unit,
        values: Result<Vec<f64>, String>,
    ) {
        let index = self.figures.iter().position(|known| known.name == figure);
        let index = index.unwrap_or_else(|| {
            self.figures.push(Figure {
                name: figure.into(),
                unit,
                subjects: BTreeMap::new(),
            });
            self.figures.len() - 1
        });
        let rounds = self.figures[index].subjects.entry(subject).or_default();
        match values {
            Ok(values) => rounds.values.extend(values),
            Err(reason) => {
                println!("# {subject}/{figure}: {reason}");
                rounds.missing = Some(reason);
            }
        }
        // A new value of the floor changes the ratios of all subjects.
        let changed = self.figures[index].lines().filter(|line| {
            line.subject == subject || (subject == Name::Floor.text() && line.floor.is_some())
        });
        for line in changed {
            line.print();
        }
    }

    /// Returns the floor's median of a figure.
    pub(crate) fn floor(&self, figure: &str) -> Option<f64> {
        let figure = self.figures.iter().find(|known| known.name == figure)?;
        figure.subjects.get(Name::Floor.text())?.median()
    }

    /// Prints a table of all figures, for people.
    pub(crate) fn print_table(&self) {
        println!(
            "\n{:<32}{:<15}{:>14}{:>32}{:>9}",
            "figure", "subject", "median", "spread", "ratio"
        );
        for line in self.figures.iter().flat_map(Figure::lines) {
            let readable = |value| line.figure.unit.readable(value);
            let median = line.median.map_or("-".into(), readable);
            let spread = match line.median {
                Some(_) if line.rounds.values.len() > 1 => {
                    let (least, most) = line.rounds.spread();
                    format!("{} … {}", readable(least), readable(most))
                }
                _ => String::new(),
            };
            println!(
                "{:<32}{:<15}{median:>14}{spread:>32}{:>9}",
                line.figure.name,
                line.subject,
                line.ratio()
            );
        }
    }
}
/// One figure of one subject.
struct Line<'a> {
    figure: &'a Figure,
    subject: &'static str,
    rounds: &'a Rounds,
    median: Option<f64>,
    floor: Option<f64>,
}

impl Line<'_> {
    /// Prints the line for programs. It replaces earlier lines of the same figure.
    fn print(&self) {
        let exact = |value| self.figure.unit.exact(value);
        let value = self.median.map_or("-".into(), exact);
        let (subject, figure) = (self.subject, &self.figure.name);
        // Standard output passes each line on at its end, to a file or a pipe too.
        println!("follow/{subject}/{figure} {value} {}", self.ratio());
    }

    /// Returns the ratio of the median to the floor's.
    fn ratio(&self) -> String {
        match (self.median, self.floor) {
            (Some(value), Some(floor)) if floor > 0.0 => format!("{:.2}", value / floor),
            _ => "-".into(),
        }
    }
}
