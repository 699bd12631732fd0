//! `tests/FAULTS.md` says which test covers which row of the fault catalogue. This test checks that it is true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const TABLE: &str = "tests/FAULTS.md";

/// Where tests and the comments that name rows are.
const FOLDERS: [&str; 4] = ["src", "tests", "benches", "examples"];

/// Which documents rustdoc runs the examples of.
const DOCTESTS: &str = "src/docs/mod.rs";

/// What the remark of an ignored test has to contain: the command that runs it.
const RUNS_IGNORED: &str = "-ignored`";

#[test]
fn every_row_names_tests_that_exist_or_a_reason() {
    let mut files = BTreeMap::new();
    let (rows, mut wrong) = rows(&text(TABLE).unwrap());
    for (id, row) in &rows {
        wrong.extend(
            faults(row, |file| files.entry(file.to_owned()).or_insert_with(|| text(file).unwrap_or_default()).clone())
                .into_iter()
                .map(|fault| format!("{id}: {fault}")),
        );
    }
    assert!(rows.len() > 200, "only {} rows were understood", rows.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_row_that_a_comment_names_is_in_the_table() {
    let (rows, _) = rows(&text(TABLE).unwrap());
    let (mut unknown, mut named, mut files) = (Vec::new(), BTreeSet::new(), 0);
    for path in FOLDERS.iter().flat_map(|folder| sources(&root().join(folder))) {
        files += 1;
        let (_, comments) = code_and_comments(&std::fs::read_to_string(&path).unwrap());
        for id in words(&comments).filter(|word| is_id(word)) {
            named.insert(id.to_owned());
            if !rows.contains_key(id) {
                unknown.push(format!("{id} in {}", path.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(files > 100, "only {files} files");
    assert!(named.len() > 100, "comments name only {} rows", named.len());
    assert!(unknown.is_empty(), "{}", unknown.join(", "));
}

#[test]
fn a_function_that_is_not_a_test_is_recognized() {
    // FF3: each of these is in a file that the row names
    let source = r##"
        fn helper() {}
        // #[test]
        fn under_a_comment() {}
        const TEXT: &str = "#[test] fn in_a_string() {}";
        const RAW: &str = r#"#[test] fn in_a_raw_string() {}"#;
        /* #[test] fn in_a_block_comment() {} */
        #[test]
        fn before() {}
        fn after_a_test() {}
        #[test]
        #[ignore = "slow (minutes)"]
        fn ignored() {}
        #[cfg_attr(windows, ignore)]
        #[test]
        fn sometimes_ignored() {}
        #[test]
        fn plain() {}
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        /// Documented; a quote ' and a "string" in it.
        async fn with_arguments() { let _ = ('"', b'\'', '\\'); }
        proptest! {
            #![proptest_config(cases(3))]
            #[test]
            fn a_property(text in "[a-z]{1,3}") { assert!(text.len() < 4); }
            fn a_property_that_never_runs(text in ".*") {}
        }
        #[test]
        pub(super) fn last<'a>() {}
    "##;
    let verdict = |cell: &str| faults(&cells(cell), |_| source.to_owned());
    for name in ["before", "plain", "with_arguments", "a_property", "last"] {
        assert_eq!(verdict(&format!("`a.rs::{name}`")), Vec::<String>::new(), "{name}");
    }
    for name in [
        "helper",
        "under_a_comment",
        "in_a_string",
        "in_a_raw_string",
        "in_a_block_comment",
        "after_a_test",
        "ignored",
        "sometimes_ignored",
        "a_property_that_never_runs",
        "missing",
        "plai",
        "lain",
    ] {
        assert_eq!(verdict(&format!("`a.rs::plain`, `a.rs::{name}`")).len(), 1, "{name}");
    }
    assert!(verdict("`a.rs::ignored`; `cargo test -- --include-ignored`").is_empty());
    for cell in ["", "-", "- later", "`a.rs`", "plain", "`a.rs::ignored`; by hand", "`a.rs::plain`,"] {
        assert_eq!(verdict(cell).len(), 1, "{cell:?}");
    }
    assert!(verdict("- there is nothing to run").is_empty());
}

#[test]
fn an_incomplete_row_is_found() {
    let row = |line: &str| rows(&format!("| id | a | b | tests |\n{line}\n")).1;
    assert!(row("| T01 | Something happens. | Something is due. | - a good reason |").is_empty());
    assert!(row("| FA1 | Something happens. | Something is due. | - a good reason |").is_empty());
    assert!(row("| I1 | Something holds. |").is_empty());
    for line in [
        "| T01 |  | Something is due. | - a good reason |",
        "| T01 | Something happens. | - a good reason |",
        "| T01 | Something happens. | Something is due. | - a good reason",
        "| T1 | Something happens. | Something is due. | - a good reason |",
        "| T01 | One thing. | Its due. | - a good reason |\n| T01 | Another. | Its due. | - a good reason |",
    ] {
        assert_eq!(row(line).len(), 1, "{line}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> Option<String> {
    std::fs::read_to_string(root().join(path)).ok()
}

/// `T01` (the catalogue), `FA1` or `FE12` (found in the field), `I1` (an invariant).
fn is_id(text: &str) -> bool {
    let number = text.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let family = text.len() - number.len();
    number.bytes().all(|byte| byte.is_ascii_digit())
        && match (&text[..family], number.len()) {
            ("I", 1) | (_, 2) if family == 1 => true,
            (two, 1 | 2) => matches!(two, "FA" | "FB" | "FC" | "FD" | "FE" | "FF") && !number.starts_with('0'),
            _ => false,
        }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// The last cell of a row.
#[derive(Default)]
struct Cells {
    tests: String,
    remark: String,
}

fn cells(last: &str) -> Cells {
    let (tests, remark) = last.split_once(';').unwrap_or((last, ""));
    Cells { tests: tests.trim().to_owned(), remark: remark.trim().to_owned() }
}

/// The rows by id, and what is wrong with the table. An invariant has no tests of its own: every test checks it.
fn rows(table: &str) -> (BTreeMap<String, Cells>, Vec<String>) {
    let (mut rows, mut wrong) = (BTreeMap::new(), Vec::new());
    for line in table.lines().map(str::trim).filter(|line| line.starts_with('|')) {
        let row: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        if row[0] == "id" || row[0].starts_with("---") {
            continue;
        }
        let whole = line.ends_with('|') && row.iter().all(|cell| !cell.is_empty());
        let entry = match *row {
            [id, _] if id.starts_with('I') && is_id(id) && whole => (id, cells("- in every test")),
            [id, _, _, tests] if is_id(id) && whole => (id, cells(tests)),
            _ => {
                wrong.push(format!("not a row of id, what happens, required behaviour, tests: {line}"));
                continue;
            }
        };
        if rows.insert(entry.0.to_owned(), entry.1).is_some() {
            wrong.push(format!("{} occurs twice", entry.0));
        }
    }
    (rows, wrong)
}

/// What is wrong with the tests of a row, in files that `read` returns.
fn faults(row: &Cells, mut read: impl FnMut(&str) -> String) -> Vec<String> {
    if let Some(reason) = row.tests.strip_prefix('-') {
        let reason = format!("{reason}{}", row.remark);
        return if reason.trim().len() < 10 { vec!["there is no reason".to_owned()] } else { Vec::new() };
    }
    let mut wrong = Vec::new();
    for test in row.tests.split(',') {
        let Some((file, name)) = test.trim().trim_matches('`').rsplit_once("::") else {
            wrong.push(format!("{test:?} is not file::function"));
            continue;
        };
        let source = read(file);
        let found = match file.rsplit('/').next().filter(|file| file.ends_with(".md")) {
            Some(document) => read(DOCTESTS).contains(document).then(|| doctest(&source, name)).flatten(),
            None => test_in(&source, name),
        };
        match found {
            None => wrong.push(format!("{file} has no test {name}")),
            Some(Ignored(true)) if !row.remark.contains(RUNS_IGNORED) => wrong.push(format!(
                "{name} is ignored by default: a remark has to give the command that runs it (..{RUNS_IGNORED})"
            )),
            Some(_) => {}
        }
    }
    wrong
}

struct Ignored(bool);

/// A function `name` with an attribute that makes it a test: `#[test]`, also in `proptest!`.
fn test_in(source: &str, name: &str) -> Option<Ignored> {
    let (code, _) = code_and_comments(source);
    code.match_indices(&format!("fn {name}")).find_map(|(at, found)| {
        let ends = code[at + found.len()..].trim_start().starts_with(['(', '<']);
        let attributes = attributes_before(code[..at].trim_end());
        let is_test = attributes.iter().any(|attribute| {
            let path = attribute.split('(').next().unwrap_or_default().trim();
            path == "test" || path.ends_with("::test")
        });
        let ignored = attributes.iter().any(|attribute| words(attribute).any(|word| word == "ignore"));
        (ends && is_test).then_some(Ignored(ignored))
    })
}

/// The content of `#[..]` directly before an item whose first keyword is at the end of `code`.
fn attributes_before(mut code: &str) -> Vec<&str> {
    let mut attributes = Vec::new();
    loop {
        code = code.trim_end();
        if let Some(before) =
            ["async", "pub", "pub(crate)", "pub(super)"].iter().find_map(|word| code.strip_suffix(word))
        {
            code = before;
            continue;
        }
        let mut depth = 0;
        let Some(start) = code
            .ends_with(']')
            .then(|| {
                code.rfind(|c| {
                    depth += i32::from(c == ']') - i32::from(c == '[');
                    depth == 0
                })
            })
            .flatten()
        else {
            return attributes;
        };
        let Some(before) = code[..start].strip_suffix('#') else { return attributes };
        attributes.push(&code[start + 1..code.len() - 1]);
        code = before;
    }
}

/// A function in an example of a document that rustdoc runs.
fn doctest(document: &str, name: &str) -> Option<Ignored> {
    document.split("```").skip(1).step_by(2).find_map(|block| {
        let (language, code) = block.split_once('\n')?;
        let runs = words(language).all(|word| matches!(word, "" | "rust" | "edition2024"));
        let here = runs && code.contains(&format!("fn {name}("));
        here.then_some(Ignored(false))
    })
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") {
            sources.extend(self::sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            sources.push(path);
        }
    }
    sources
}

/// The source without comments and without what is in quotes; and the comments, a line each.
fn code_and_comments(source: &str) -> (String, String) {
    let (mut code, mut comments) = (String::new(), String::new());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let after_a_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let raw = rest.trim_start_matches(['b', 'c']).strip_prefix('r').map(|raw| (raw, raw.trim_start_matches('#')));
        let length = if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            comments.extend([&rest[..length], "\n"]);
            length
        } else if rest.starts_with("/*") {
            let length = rest.find("*/").map_or(rest.len(), |end| end + 2);
            comments.extend([&rest[..length], "\n"]);
            length
        } else if let Some((raw, text)) = raw.filter(|(_, text)| text.starts_with('"') && !after_a_word) {
            let end = format!("\"{}", "#".repeat(raw.len() - text.len()));
            let length = text[1..].find(&end).map_or(text.len(), |at| 1 + at + end.len());
            code.push_str("\"\"");
            rest.len() - text.len() + length
        } else if c == '"' {
            code.push_str("\"\"");
            quoted(rest, '"')
        } else if c == '\'' && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'')) {
            code.push_str("' '");
            quoted(rest, '\'')
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    (code, comments)
}

/// How long the literal is that begins with `quote`.
fn quoted(literal: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = literal.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(literal.len(), |(at, _)| at + 1)
}
