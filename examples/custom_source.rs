//! A custom token source: a file that another process, such as a sidecar, keeps up to date. `Cached` shares its token,
//! refreshes it early and calls the source rarely.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use std::path::PathBuf;
use std::time::Duration;

use client_credentials::{AccessToken, Cached, Error, TokenFuture, TokenSource};

#[derive(Debug)]
struct TokenFile(PathBuf);

impl TokenSource for TokenFile {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(async {
            println!("reading {}", self.0.display());
            let text = tokio::fs::read_to_string(&self.0).await;
            let token = text.map_err(Error::other)?.trim_end().to_owned();
            // The file may have a newer token after a minute at the latest.
            AccessToken::builder(token).lifetime(Duration::from_secs(60)).build()
        })
    }

    // The source keeps no token: `Cached` does.
    fn reject(&self, _: &AccessToken) {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("example-token-{}", std::process::id()));
    std::fs::write(&path, "a-token-for-examples\n")?;
    let tokens = Cached::new(TokenFile(path.clone()));
    for request in 1..=3 {
        let authorization = tokens.token().await?.authorization();
        println!("request {request}: {authorization:?}");
    }
    std::fs::remove_file(path)?;
    Ok(())
}
