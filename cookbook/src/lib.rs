//! How to use the token with third-party clients: each entry is one short function, and a test that runs it against a
//! real server or a scripted one. The guide `client_credentials::docs::cookbook` has the table.

#![allow(missing_docs, reason = "a module is an entry, and says what it is")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::print_stderr,
        reason = "a test that fails panics"
    )
)]

pub mod github;
pub mod grpc;
pub mod kubernetes;
pub mod mcp;
pub mod mqtt;
pub mod nats;
pub mod object_store;
pub mod openapi_generator;
pub mod opentelemetry_metrics;
pub mod otlp;
pub mod otlp_grpc;
pub mod progenitor;
pub mod redis;
pub mod reqwest_alone;
pub mod reqwest_blocking;
pub mod retry;
pub mod schema_registry;
pub mod smtp;
pub mod sql;
pub mod sse;
pub mod temporal;
pub mod token_file;
pub mod token_source;
pub mod ureq;
pub mod websocket;

#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// What a reader copies.
    const MOST_LINES: usize = 15;

    #[test]
    fn every_entry_is_short_and_the_guide_says_how_short() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut entries = Vec::new();
        let files = std::fs::read_dir(folder.join("src")).unwrap().map(|file| file.unwrap().path());
        for path in files.chain([folder.join("kafka/src/lib.rs")]) {
            // The guide on operating has the metrics.
            let in_the_table = !path.ends_with("opentelemetry_metrics.rs");
            if path.ends_with("support.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let entry = text.split("#[cfg(test)]").next().unwrap();
            let mut lines = None;
            for line in entry.lines() {
                let begins =
                    ["pub fn", "pub async fn", "async fn", "fn", "impl"].iter().any(|begin| line.starts_with(begin));
                lines = lines.map(|lines| lines + 1).or(begins.then_some(1));
                if let Some(lines) = lines.take_if(|_| line == "}") {
                    assert!(lines <= MOST_LINES, "{}: {lines} lines", path.display());
                    entries.extend(in_the_table.then_some(lines));
                }
            }
        }
        let guide = std::fs::read_to_string(folder.join("../src/docs/cookbook.md")).unwrap();
        let rows = guide.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(2));
        let mut told: Vec<usize> = rows.flat_map(|lines| lines.split(" + ")).filter_map(|n| n.parse().ok()).collect();
        entries.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, entries, "the column of lines");
    }
}
