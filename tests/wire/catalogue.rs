//! `tests/FAULTS.md` says which test covers which row of the catalogue: it must say the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const TABLE: &str = "tests/FAULTS.md";

fn text(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// (id, second column) of every row.
fn rows() -> Vec<(String, String)> {
    let table = text(TABLE).unwrap();
    let cells = table.lines().filter_map(|line| {
        let line = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        let (id, tests) = line.split_once('|')?;
        Some((id.trim().to_owned(), tests.trim().to_owned()))
    });
    cells.filter(|(id, _)| is_id(id)).collect()
}

/// A letter and two digits.
fn is_id(text: &str) -> bool {
    matches!(text.as_bytes(), [letter, a, b] if letter.is_ascii_uppercase() && a.is_ascii_digit() && b.is_ascii_digit())
}

#[test]
fn every_row_names_tests_that_exist_or_a_reason() {
    let mut seen = BTreeSet::new();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (id, cell) in rows() {
        if !seen.insert(id.clone()) {
            wrong.push(format!("{id} stands there twice"));
        }
        if let Some(reason) = cell.strip_prefix('-') {
            if reason.trim().len() < 10 {
                wrong.push(format!("{id} gives no reason"));
            }
            continue;
        }
        if cell.is_empty() {
            wrong.push(format!("{id} is empty"));
        }
        // `file::function`, several separated by commas; what stands after a semicolon is a remark.
        let tests = cell.split(';').next().unwrap_or_default();
        for test in tests.split(',') {
            let test = test.trim().trim_matches('`');
            let Some((file, function)) = test.rsplit_once("::") else {
                wrong.push(format!("{id}: {test:?} is not file::function"));
                continue;
            };
            let source = files.entry(file.to_owned()).or_insert_with(|| text(file).unwrap_or_default());
            if !source.contains(&format!("fn {function}(")) {
                wrong.push(format!("{id}: there is no {function} in {file}"));
            }
        }
    }
    assert!(seen.len() > 50, "only {} rows were understood", seen.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_row_that_a_test_claims_to_cover_is_in_the_table() {
    let known: BTreeSet<_> = rows().into_iter().map(|(id, _)| id).collect();
    let mut unknown = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("tests"), root.join("src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // What is installed there is not ours.
                folders.extend(Some(path).filter(|path| !path.ends_with("node_modules")));
            } else if path.extension().is_some_and(|end| end == "rs") {
                sources.push(path);
            }
        }
    }
    assert!(sources.len() > 100, "only {} files", sources.len());
    for path in sources {
        let file = path.strip_prefix(root).unwrap().display();
        let source = std::fs::read_to_string(&path).unwrap();
        let comments = source.lines().filter_map(|line| line.trim().strip_prefix("// "));
        for word in comments.flat_map(|comment| comment.split(|c: char| !c.is_ascii_alphanumeric())) {
            if is_id(word) && !known.contains(word) {
                unknown.push(format!("{word} in {file}"));
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join(", "));
}
