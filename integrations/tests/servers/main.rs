//! The crate against third-party authorization servers, in processes of their own: oidc-provider
//! (JavaScript, OpenID certified) and Authlib behind Flask (Python); and an API that verifies tokens by
//! express-oauth2-jwt-bearer (JavaScript, Auth0's). `.ci/servers` installs them;
//! `cargo test -p integrations --test servers -- --include-ignored` runs these tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod api;
mod certificates;
mod grants;
mod methods;
mod mistakes;
mod possession;
mod process;
mod requests;
mod server;
mod stories;
mod table;

use std::io::Write;
use std::path::Path;

use methods::{METHODS, ROWS};
use server::{Server, version};
use stories::Story;
use table::Table;

type Result<T = ()> = std::result::Result<T, Failure>;

/// Why a test fails, readable: the output of the servers has several lines.
struct Failure(String);

impl<E: Into<Box<dyn std::error::Error>>> From<E> for Failure {
    fn from(e: E) -> Self {
        let e = e.into();
        let mut text = e.to_string();
        let mut next = e.source();
        while let Some(source) = next {
            text.push_str(&format!(": {source}"));
            next = source.source();
        }
        Failure(text)
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[tokio::test]
#[ignore = "needs node and python: .ci/servers"]
async fn every_method_gets_a_token_is_refused_and_survives_a_rotation_at_every_server() -> Result {
    let servers = [Server::oidc_provider()?, Server::authlib()?];
    let columns = servers.each_ref().map(|s| (s.name, version(s.name)));
    let mut table = Table::new(ROWS, columns);
    for server in &servers {
        for row in ROWS {
            if let Some(reason) = methods::reason(row, server.name) {
                table.excuse(row, server.name, reason);
                continue;
            }
            for method in METHODS.iter().filter(|method| method.name == row) {
                for story in Story::ALL {
                    let told = story.tell(server, method).await;
                    table.add(row, server.name, story, told.map_err(|e| e.0));
                }
            }
        }
    }

    let markdown = table.markdown();
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("servers.md"), &markdown)?;
    // Not by `println!`, which is kept from those who run the tests.
    write!(std::io::stdout().lock(), "\n{markdown}\n")?;
    let flaws = table.flaws();
    stories::check(flaws.is_empty(), || flaws.join("\n"))
}
