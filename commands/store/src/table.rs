//! Tables for people: what does not fit a line is cut, and whole in `--json`.

use crate::terminal::harmless;

/// Columns of a line.
const WIDTH: usize = 100;

/// No column is cut below this.
const NARROWEST: usize = 8;

/// Blanks between two columns.
const GAP: usize = 2;

/// A table with a line of heads; nothing but the heads where there are no rows.
pub(crate) fn table<const COLUMNS: usize>(heads: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let cells = |row: &[String; COLUMNS]| row.each_ref().map(|cell| harmless(cell));
    let mut lines = vec![heads.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let mut widths = [0; COLUMNS];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    fit(&mut widths);
    lines.iter().map(|line| written(line, &widths)).collect()
}

/// Names and what they are set to, one in a line.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    facts.iter().map(|(name, value)| format!("{name:width$}  {}\n", harmless(value))).collect()
}

/// Takes from the widest columns until a line fits.
fn fit(widths: &mut [usize]) {
    let room = WIDTH.saturating_sub(GAP * widths.len().saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        match widths.iter_mut().max() {
            Some(width) if *width > NARROWEST => *width -= 1,
            _ => return,
        }
    }
}

fn written(line: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in line.iter().zip(widths) {
        let length = cell.chars().count();
        if length > *width {
            text.extend(cell.chars().take(width.saturating_sub(1)).chain(['…']));
        } else {
            text.push_str(cell);
            text.push_str(&" ".repeat(width - length));
        }
        text.push_str(&" ".repeat(GAP));
    }
    format!("{}\n", text.trim_end())
}

/// Seconds as people say them: `1h30m`; none are for ever.
pub(crate) fn span(seconds: u64) -> String {
    let parts = [(seconds / 86400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "for ever".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_fit_a_line() {
        let row = |one: &str, other: &str| [one.to_owned(), other.to_owned(), "x".to_owned()];
        assert_eq!(table(["A", "BB", "C"], &[]), "A  BB  C\n");
        assert_eq!(table(["A", "BB", "C"], &[row("long", "b")]), "A     BB  C\nlong  b   x\n");
        let wide = table(["A", "B", "C"], &[row(&"a".repeat(90), &"é".repeat(90)), row("a", "b")]);
        assert!(wide.lines().all(|line| line.chars().count() <= WIDTH) && wide.contains('…'), "{wide}");
        assert_eq!(table(["A", "B", "C"], &[row("\u{1b}[2J", "a\nb")]).lines().count(), 2);
    }

    #[test]
    fn spans_of_time_are_short() {
        let check = |seconds: u64, expected: &str| assert_eq!(span(seconds), expected);
        check(0, "for ever");
        check(59, "59s");
        check(5400, "1h30m");
        check(768 * 3600, "32d");
    }
}
