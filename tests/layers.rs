//! The rooms of `src` form five bands: a room imports from its own band or from one nearer to the ground, and there are
//! no circles. The bands are explained in ARCHITECTURE.md.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const BANDS: [&[&str]; 5] = [
    // Ground: used by every room.
    &[
        "address",
        "backoff",
        "bounded",
        "challenge",
        "clock",
        "contained",
        "error",
        "event",
        "faults",
        "json",
        "lock",
        "once",
        "pem",
        "possession",
        "runtime",
        "server_text",
        "step_up",
        "x509",
    ],
    // Nouns.
    &["credential", "future", "observer", "signing", "source", "tls_identity", "token", "verdict"],
    // Wire.
    &["client_auth", "dpop", "exchange", "grant", "metadata"],
    // Decorators: a source around a source.
    &["cache", "pool", "retry", "shared"],
    // Edges: what users call.
    &["bearer", "blocking", "changes", "client_credentials", "config", "explain", "testing"],
];

type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_room_imports_upward() {
    let band = |room: &str| BANDS.iter().position(|band| band.contains(&room));
    let mut wrong = Vec::new();
    for (room, imported) in imports() {
        let Some(own) = band(&room) else {
            wrong.push(format!("{room} is in no band"));
            continue;
        };
        let upward = imported.iter().filter(|other| band(other).is_none_or(|band| band > own));
        wrong.extend(upward.map(|other| format!("{room} -> {other}")));
    }
    assert!(wrong.is_empty(), "imports that run up: {wrong:#?}");
}

#[test]
fn no_rooms_import_each_other_in_a_circle() {
    let imports = imports();
    // Removes rooms that import none of the remaining ones. Those that remain in the end are in a circle, or above one.
    let mut left: BTreeSet<&String> = imports.keys().collect();
    while let Some(done) = left.iter().copied().find(|room| imports[*room].iter().all(|other| !left.contains(other))) {
        left.remove(done);
    }
    assert!(left.is_empty(), "in a circle, or above one: {left:?}");
}

#[test]
fn a_name_is_imported_from_the_room_that_defines_it() {
    let through_the_root: Vec<_> = imports()
        .into_iter()
        .filter(|(_, names)| names.iter().any(|name| name.starts_with(char::is_uppercase)))
        .collect();
    assert!(through_the_root.is_empty(), "use crate::error::Error, not crate::Error: {through_the_root:?}");
}

/// For each room the names after `crate::` in its code, without tests and comments.
fn imports() -> Imports {
    let mut imports = Imports::new();
    for file in files(Path::new("src")) {
        let name = file.to_string_lossy().replace('\\', "/");
        let is_test = ["/tests", "tests.rs", "_properties.rs", "/hostile", "/docs/", "src/lib.rs"];
        if is_test.iter().any(|part| name.contains(part)) {
            continue;
        }
        let room = name.split('/').nth(1).unwrap().trim_end_matches(".rs").to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        let own = imports.entry(room.clone()).or_default();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (at, _) in line.match_indices("crate::") {
                let rest = &line[at + "crate::".len()..];
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                if rest[..end] != room && !line[..at].ends_with('$') {
                    own.insert(rest[..end].to_owned());
                }
            }
        }
    }
    imports
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| is_rust(path))
        .collect()
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}
