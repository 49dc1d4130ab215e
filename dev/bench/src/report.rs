//! What was measured: rows of ours beside peers, as a table for people and as JSON for comparison over time.

use std::fmt::Write as _;

use serde::Serialize;

use crate::recorded::{self, Recorded};

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Milliseconds,
    Microseconds,
    /// Shown in MB of 10⁶ bytes.
    Bytes,
    Count,
}

/// One measured figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// The figure itself; of several runs the median.
    pub(crate) value: f64,
    /// What 95 of 100 runs stayed below, where there were several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p95: Option<f64>,
    pub(crate) runs: usize,
}

/// Whom ours is compared with.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// What it needed, or the ends of the range in which it lay.
    pub(crate) low: f64,
    pub(crate) high: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p95: Option<f64>,
    /// Where the figure is not of this run: when and on what it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recorded: Option<&'static str>,
}

/// How a figure stands to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Sign {
    #[serde(rename = "<")]
    Below,
    #[serde(rename = "≤")]
    AtMost,
    #[serde(rename = "≥")]
    AtLeast,
}

/// What ours shall reach.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) limit: f64,
    /// How ours shall stand to it.
    pub(crate) sign: Sign,
    /// What the limit is, where it is not a number of its own: "tini's".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<String>,
}

/// One metric.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) metric: String,
    pub(crate) unit: Unit,
    pub(crate) ours: Figure,
    pub(crate) peers: Vec<Peer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) met: Option<bool>,
}

impl Figure {
    /// A figure that is the same however often it is taken.
    pub(crate) fn exact(value: f64) -> Self {
        Self { value, p95: None, runs: 1 }
    }

    /// Median and 95th percentile by nearest rank; nothing where there are no samples.
    pub(crate) fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let runs = samples.len();
        Some(Self { value: percentile(&samples, 50)?, p95: percentile(&samples, 95).filter(|_| runs > 1), runs })
    }
}

/// What so many of a hundred samples do not exceed, by nearest rank; `samples` are sorted. Nothing where there are none.
pub(crate) fn percentile(samples: &[f64], percent: usize) -> Option<f64> {
    samples.get((samples.len() * percent).div_ceil(100).max(1) - 1).copied()
}

impl Peer {
    /// A peer that was measured in this run.
    pub(crate) fn measured(name: &str, figure: &Figure) -> Self {
        Self { name: name.to_owned(), low: figure.value, high: figure.value, p95: figure.p95, recorded: None }
    }
}

impl From<Recorded> for Peer {
    fn from(recorded: Recorded) -> Self {
        let Recorded { peer, low, high, .. } = recorded;
        Self { name: peer.to_owned(), low, high, p95: None, recorded: Some(recorded::WHEN) }
    }
}

impl Target {
    /// Ours shall be smaller.
    pub(crate) fn below(limit: f64) -> Self {
        Self { limit, sign: Sign::Below, of: None }
    }

    /// Ours shall not be larger.
    pub(crate) fn at_most(limit: f64) -> Self {
        Self { limit, sign: Sign::AtMost, of: None }
    }

    /// Ours shall not be smaller.
    pub(crate) fn at_least(limit: f64) -> Self {
        Self { limit, sign: Sign::AtLeast, of: None }
    }

    /// Ours shall not be larger than a peer's.
    pub(crate) fn of(peer: &Peer) -> Self {
        Self { of: Some(peer.name.clone()), ..Self::at_most(peer.high) }
    }

    /// Ours shall be at least so many times a peer's.
    pub(crate) fn at_least_times(factor: f64, peer: &Peer) -> Self {
        Self { of: Some(format!("{factor} × {}", peer.name)), ..Self::at_least(factor * peer.high) }
    }

    /// Ours shall be at most so many times a peer's.
    pub(crate) fn at_most_times(factor: f64, peer: &Peer) -> Self {
        Self { of: Some(format!("{factor} × {}", peer.name)), ..Self::at_most(factor * peer.low) }
    }

    fn is_met(&self, value: f64) -> bool {
        match self.sign {
            Sign::Below => value < self.limit,
            Sign::AtMost => value <= self.limit,
            Sign::AtLeast => value >= self.limit,
        }
    }
}

impl Row {
    pub(crate) fn new(id: &str, metric: impl Into<String>, unit: Unit, ours: Figure) -> Self {
        Self { id: id.to_owned(), metric: metric.into(), unit, ours, peers: Vec::new(), target: None, met: None }
    }

    /// Compares with `peers`.
    pub(crate) fn beside(mut self, peers: impl IntoIterator<Item = Peer>) -> Self {
        self.peers.extend(peers);
        self
    }

    pub(crate) fn with_target(mut self, target: Target) -> Self {
        self.met = Some(target.is_met(self.ours.value));
        self.target = Some(target);
        self
    }

    /// Not larger than the peer of this name, where it is among those compared with.
    pub(crate) fn not_above(self, peer: &str) -> Self {
        let target = self.peers.iter().find(|found| found.name == peer).map(Target::of);
        match target {
            Some(target) => self.with_target(target),
            None => self,
        }
    }

    /// At least so many times the first peer's, where there is one.
    pub(crate) fn at_least_times(self, factor: f64) -> Self {
        let target = self.peers.first().map(|peer| Target::at_least_times(factor, peer));
        match target {
            Some(target) => self.with_target(target),
            None => self,
        }
    }

    /// At most so many times the first peer's, where there is one.
    pub(crate) fn at_most_times(self, factor: f64) -> Self {
        let target = self.peers.first().map(|peer| Target::at_most_times(factor, peer));
        match target {
            Some(target) => self.with_target(target),
            None => self,
        }
    }

    /// The lines of the table: the first has everything, further peers follow below it.
    fn lines(&self) -> Vec<[String; 5]> {
        let ours = with_p95(shown(self.ours.value, self.unit), self.ours.p95, self.unit);
        let mut lines: Vec<[String; 5]> = self
            .peers
            .iter()
            .map(|peer| {
                [String::new(), String::new(), peer.shown(self.unit), peer.ratio(self.ours.value), String::new()]
            })
            .collect();
        if lines.is_empty() {
            lines.push([String::new(), String::new(), "-".to_owned(), "-".to_owned(), String::new()]);
        }
        lines[0][0].clone_from(&self.metric);
        lines[0][1] = ours;
        lines[0][4] = self.shown_target();
        lines
    }

    fn shown_target(&self) -> String {
        let Some(target) = &self.target else { return "-".to_owned() };
        let sign = match target.sign {
            Sign::Below => "<",
            Sign::AtMost => "≤",
            Sign::AtLeast => "≥",
        };
        let of = target.of.as_ref().map(|name| format!("{name}'s ")).unwrap_or_default();
        let verdict = if self.met == Some(true) { "met" } else { "MISSED" };
        format!("{sign} {of}{}: {verdict}", shown(target.limit, self.unit))
    }
}

impl Peer {
    fn shown(&self, unit: Unit) -> String {
        let figure = match self.low == self.high {
            true => shown(self.low, unit),
            false => format!("{} to {}", number(self.low, unit), shown(self.high, unit)),
        };
        let mark = if self.recorded.is_some() { " *" } else { "" };
        format!("{} {}{mark}", self.name, with_p95(figure, self.p95, unit))
    }

    /// Ours divided by theirs; nothing where theirs is a range.
    fn ratio(&self, ours: f64) -> String {
        if self.low == self.high && self.low > 0.0 { format!("{:.2}", ours / self.low) } else { "-".to_owned() }
    }
}

fn with_p95(figure: String, p95: Option<f64>, unit: Unit) -> String {
    p95.map(|p95| format!("{figure} (p95 {})", number(p95, unit))).unwrap_or(figure)
}

fn shown(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Milliseconds => format!("{} ms", number(value, unit)),
        Unit::Microseconds => format!("{} µs", number(value, unit)),
        Unit::Bytes => format!("{} MB", number(value, unit)),
        Unit::Count => number(value, unit),
    }
}

fn number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Milliseconds | Unit::Microseconds if value < 10.0 => format!("{value:.2}"),
        Unit::Milliseconds | Unit::Microseconds if value < 100.0 => format!("{value:.1}"),
        Unit::Milliseconds | Unit::Microseconds | Unit::Count => format!("{value:.0}"),
        Unit::Bytes => format!("{:.2}", value / 1e6),
    }
}

/// The rows as a table, with what its marks mean.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = ["metric", "ours", "peers", "ratio", "target"].map(str::to_owned);
    let lines: Vec<[String; 5]> = std::iter::once(head).chain(rows.iter().flat_map(Row::lines)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for (place, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", cells.join(" | ").trim_end());
        if place == 0 {
            let _ = writeln!(text, "{}", widths.map(|width| "-".repeat(width)).join("-|-"));
        }
    }
    if rows.iter().flat_map(|row| &row.peers).any(|peer| peer.recorded.is_some()) {
        let _ = writeln!(text, "* {}, not of this run", recorded::WHEN);
    }
    let _ =
        writeln!(text, "ratio: ours divided by the peer's. Times are medians, with what 95 of 100 runs stayed below.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let check = |samples: &[f64], expected: Option<(f64, Option<f64>)>| {
            assert_eq!(Figure::of(samples.to_vec()).map(|figure| (figure.value, figure.p95)), expected, "{samples:?}");
        };
        check(&[], None);
        check(&[3.0], Some((3.0, None)));
        check(&[2.0, 1.0], Some((1.0, Some(2.0))));
        check(&[5.0, 1.0, 3.0, 2.0, 4.0], Some((3.0, Some(5.0))));
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        check(&hundred, Some((50.0, Some(95.0))));
    }

    #[test]
    fn a_target_is_met_or_missed() {
        let check = |target: Target, value, expected| assert_eq!(target.is_met(value), expected, "{target:?} {value}");
        check(Target::below(8.0), 7.99, true);
        check(Target::below(8.0), 8.0, false);
        check(Target::at_most(2.0), 2.0, true);
        check(Target::at_most(2.0), 3.0, false);
        check(Target::at_least(15.0), 15.0, true);
        check(Target::at_least(15.0), 14.0, false);
    }

    #[test]
    fn the_table_shows_peers_below_each_other_and_marks_what_is_recorded() {
        let figure = |value| Figure { value, p95: Some(value + 1.0), runs: 9 };
        let recorded = Recorded { row: "one", peer: "tini", low: 1.0, high: 1.3 };
        let row = Row::new("one", "one reference", Unit::Milliseconds, figure(5.0))
            .beside([Peer::measured("other", &figure(20.0)), recorded.into()])
            .with_target(Target::below(8.0));
        let table = table(&[row, Row::new("size", "size", Unit::Bytes, Figure::exact(7.5e6))]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines[2..6],
            [
                "one reference | 5.00 ms (p95 6.00) | other 20.0 ms (p95 21.0) | 0.25  | < 8.00 ms: met",
                "              |                    | tini 1.00 to 1.30 ms *   | -     |",
                "size          | 7.50 MB            | -                        | -     | -",
                "* recorded 2026-11-22, 2 cores, 24 GiB, not of this run",
            ]
        );
    }

    #[test]
    fn a_peers_figure_is_a_target() {
        let tini = Peer::measured("tini", &Figure::exact(1.0));
        let row = |ours| Row::new("none", "none", Unit::Milliseconds, Figure::exact(ours)).beside([tini.clone()]);
        assert_eq!(row(0.9).not_above("tini").met, Some(true));
        assert_eq!(row(1.1).not_above("tini").met, Some(false));
        assert_eq!(row(1.1).not_above("catatonit").met, None);
        assert_eq!(row(3.0).at_least_times(3.0).met, Some(true));
        assert_eq!(row(2.9).at_least_times(3.0).met, Some(false));
        assert_eq!(row(0.5).at_most_times(0.5).met, Some(true));
        assert_eq!(row(0.6).at_most_times(0.5).shown_target(), "≤ 0.5 × tini's 0.50 ms: MISSED");
    }
}
