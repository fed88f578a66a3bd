//! Columns for people: aligned, without borders, written as they come.
//!
//! A listing of a million routes must neither wait for its end nor be held in memory, so widths
//! come from the first rows and later ones that are wider push their line out.

use std::io::{self, Write};

/// Rows that are looked at before the first is written.
const SAMPLE: usize = 256;

/// Which side a column is aligned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table being written to `out`.
pub struct Table<W: Write> {
    out: W,
    columns: Vec<(&'static str, Side)>,
    widths: Vec<usize>,
    waiting: Vec<Vec<String>>,
    begun: bool,
}

impl<W: Write> Table<W> {
    /// A table with these headings; a heading that begins with `>` is of a column of numbers.
    pub fn new(out: W, headings: &[&'static str]) -> Self {
        let columns: Vec<_> = headings
            .iter()
            .map(|h| {
                h.strip_prefix('>')
                    .map_or((*h, Side::Left), |h| (h, Side::Right))
            })
            .collect();
        let widths = columns.iter().map(|(h, _)| h.len()).collect();
        Self {
            out,
            columns,
            widths,
            waiting: Vec::new(),
            begun: false,
        }
    }

    /// Adds a row; cells beyond the columns are not shown.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) -> io::Result<()> {
        if self.begun {
            return self.line(&cells);
        }
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.chars().count());
        }
        self.waiting.push(cells.into());
        if self.waiting.len() >= SAMPLE {
            self.begin()
        } else {
            Ok(())
        }
    }

    /// Writes what is left.
    pub fn finish(mut self) -> io::Result<()> {
        if !self.begun {
            self.begin()?;
        }
        self.out.flush()
    }

    fn begin(&mut self) -> io::Result<()> {
        self.begun = true;
        let headings: Vec<String> = self.columns.iter().map(|(h, _)| (*h).to_owned()).collect();
        self.line(&headings)?;
        for row in std::mem::take(&mut self.waiting) {
            self.line(&row)?;
        }
        Ok(())
    }

    fn line(&mut self, cells: &[String]) -> io::Result<()> {
        let mut line = String::new();
        for (i, ((_, side), width)) in self.columns.iter().zip(&self.widths).enumerate() {
            if i > 0 {
                line.push_str("  ");
            }
            let cell = cells.get(i).map_or("", String::as_str);
            match side {
                Side::Left => line.push_str(&format!("{cell:width$}")),
                Side::Right => line.push_str(&format!("{cell:>width$}")),
            }
        }
        writeln!(self.out, "{}", line.trim_end())
    }
}

/// `name: value` lines with the values in one column.
pub fn pairs(out: &mut impl Write, pairs: &[(&str, String)]) -> io::Result<()> {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in pairs {
        writeln!(out, "{name:width$}  {value}")?;
    }
    Ok(())
}

/// How long ago, in the unit that tells most: `now`, `3 s ago`, `2 h ago`, `never`.
pub fn ago(ms: Option<u64>) -> String {
    let Some(ms) = ms else { return "never".into() };
    match ms / 1000 {
        0..2 => "now".into(),
        s @ 2..120 => format!("{s} s ago"),
        s @ 120..7_200 => format!("{} min ago", s / 60),
        s @ 7_200..172_800 => format!("{} h ago", s / 3_600),
        s => format!("{} d ago", s / 86_400),
    }
}

/// A span of time: `42 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`.
pub fn span(s: u64) -> String {
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// A meaning as a cell: without the full stop of its sentence.
pub fn meaning(text: &str) -> String {
    text.trim_end_matches('.').to_owned()
}

/// A dash where there is nothing to show.
pub fn or_dash(text: &str) -> String {
    if text.is_empty() {
        "-".into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, ago, pairs, span};

    fn text(rows: &[[&str; 2]]) -> String {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, &["PORT", ">PACKETS"]);
        for row in rows {
            table.row(row.map(str::to_owned)).unwrap();
        }
        table.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn words_stand_left_and_numbers_right() {
        assert_eq!(
            text(&[["p0", "12"], ["uplink", "123456789"]]),
            "PORT      PACKETS\np0             12\nuplink  123456789\n"
        );
        assert_eq!(
            text(&[]),
            "PORT  PACKETS\n",
            "an empty table still says what it would show"
        );
    }

    #[test]
    fn rows_are_written_before_the_table_ends() {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, &["N"]);
        for i in 0..1000 {
            table.row([i.to_string()]).unwrap();
        }
        drop(table);
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 1001);
    }

    #[test]
    fn times_are_told_in_one_unit() {
        let told: Vec<_> = [
            Some(0),
            Some(3_000),
            Some(300_000),
            Some(9_000_000),
            Some(259_200_000),
        ]
        .map(ago)
        .to_vec();
        assert_eq!(told, ["now", "3 s ago", "5 min ago", "2 h ago", "3 d ago"]);
        assert_eq!(ago(None), "never");
        assert_eq!(
            [span(5), span(125), span(7_260)],
            ["5 s", "2 min 5 s", "2 h 1 min"]
        );
    }

    #[test]
    fn pairs_line_up() {
        let mut out = Vec::new();
        pairs(&mut out, &[("a", "1".into()), ("long", "2".into())]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a     1\nlong  2\n");
    }
}
