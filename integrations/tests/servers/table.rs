//! The table, method by server, as the test run writes it.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::stories::{Story, Told};

/// What was tested, by row and column.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<&'static str>,
    columns: Vec<(&'static str, String)>,
    cells: BTreeMap<(&'static str, &'static str), Cell>,
}

#[derive(Debug)]
enum Cell {
    /// The method cannot be tested here.
    Reason(&'static str),
    Stories(Vec<(Story, Result<Told, String>)>),
}

impl Table {
    /// `columns`: names and versions.
    pub(crate) fn new(rows: impl Into<Vec<&'static str>>, columns: impl Into<Vec<(&'static str, String)>>) -> Self {
        Table { rows: rows.into(), columns: columns.into(), cells: BTreeMap::new() }
    }

    pub(crate) fn excuse(&mut self, row: &'static str, column: &'static str, reason: &'static str) {
        self.cells.insert((row, column), Cell::Reason(reason));
    }

    pub(crate) fn add(&mut self, row: &'static str, column: &'static str, story: Story, told: Result<Told, String>) {
        let cell = self.cells.entry((row, column));
        if let Cell::Stories(stories) = cell.or_insert_with(|| Cell::Stories(Vec::new())) {
            stories.push((story, told));
        }
    }

    /// In Markdown, with the reasons as footnotes.
    pub(crate) fn markdown(&self) -> String {
        let mut notes: Vec<&str> = Vec::new();
        let mut note = |reason| {
            let number = notes.iter().position(|known| *known == reason);
            let number = number.unwrap_or_else(|| {
                notes.push(reason);
                notes.len() - 1
            });
            format!("[{}]", number + 1)
        };
        let titles = self.columns.iter();
        let titles = titles.map(|(column, version)| format!("{column} {version}"));
        let head = std::iter::once("method".to_owned()).chain(titles);
        let mut rows: Vec<Vec<String>> = vec![head.collect()];
        for row in &self.rows {
            let mut line = vec![(*row).to_owned()];
            for (column, _) in &self.columns {
                line.push(match self.cells.get(&(*row, *column)) {
                    None => String::new(),
                    Some(Cell::Reason(reason)) => format!("- {}", note(reason)),
                    Some(Cell::Stories(stories)) => {
                        let words = stories.iter().map(|(story, told)| match told {
                            Ok(Told::Done) => story.word().to_owned(),
                            Ok(Told::Reason(reason)) => {
                                format!("not {} {}", story.word(), note(reason))
                            }
                            Err(_) => format!("**{} FAILED**", story.word()),
                        });
                        words.collect::<Vec<_>>().join(", ")
                    }
                });
            }
            rows.push(line);
        }

        let widths: Vec<usize> = (0..=self.columns.len())
            .map(|i| {
                let cells = rows.iter().filter_map(|row| row.get(i));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for (i, row) in rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, "| {cell:width$} ");
            }
            text.push_str("|\n");
            if i == 0 {
                let rule = widths.iter().map(|width| "-".repeat(width + 2));
                let _ = writeln!(text, "|{}|", rule.collect::<Vec<_>>().join("|"));
            }
        }
        text.push('\n');
        for (i, reason) in notes.iter().enumerate() {
            let _ = writeln!(text, "[{}] {reason}", i + 1);
        }
        text
    }

    /// Every failed scenario, every empty cell, every scenario that a cell lacks.
    pub(crate) fn flaws(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        for row in &self.rows {
            for (column, _) in &self.columns {
                let mut flaw = |text: &str| flaws.push(format!("{row} at {column}: {text}"));
                let stories = match self.cells.get(&(*row, *column)) {
                    None => {
                        flaw("the cell is empty");
                        continue;
                    }
                    Some(Cell::Reason(_)) => continue,
                    Some(Cell::Stories(stories)) => stories,
                };
                for story in Story::ALL {
                    match stories.iter().find(|(told, _)| *told == story) {
                        None => flaw(&format!("{} is not told", story.word())),
                        Some((_, Err(e))) => flaw(&format!("{} failed: {e}", story.word())),
                        Some((_, Ok(_))) => {}
                    }
                }
            }
        }
        flaws
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new(["basic", "mtls"], [("A", "1.0".to_owned())])
    }

    #[test]
    fn a_full_table_has_no_flaws_and_reasons_are_footnotes() {
        let mut table = table();
        table.add("basic", "A", Story::Token, Ok(Told::Done));
        table.add("basic", "A", Story::Refused, Ok(Told::Done));
        table.add("basic", "A", Story::Rotated, Ok(Told::Reason("cannot")));
        table.excuse("mtls", "A", "cannot");
        assert_eq!(table.flaws(), Vec::<String>::new());
        let expected = "\
| method | A 1.0                           |
|--------|---------------------------------|
| basic  | token, refused, not rotated [1] |
| mtls   | - [1]                           |

[1] cannot
";
        assert_eq!(table.markdown(), expected);
    }

    #[test]
    fn an_empty_cell_is_a_flaw() {
        let mut table = table();
        table.excuse("basic", "A", "cannot");
        assert_eq!(table.flaws(), ["mtls at A: the cell is empty"]);
    }

    #[test]
    fn a_scenario_that_failed_or_is_missing_is_a_flaw() {
        let mut table = table();
        table.excuse("mtls", "A", "cannot");
        table.add("basic", "A", Story::Token, Ok(Told::Done));
        table.add("basic", "A", Story::Refused, Err("a token".into()));
        assert_eq!(table.flaws(), ["basic at A: refused failed: a token", "basic at A: rotated is not told"]);
        assert!(table.markdown().contains("token, **refused FAILED**"));
    }
}
