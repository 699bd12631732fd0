//! The token is kept between calls, sealed with a key in the same directory: only this user can read either.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client_credentials::Config;

use crate::exit::Failure;

pub(crate) fn at(config: Config, directory: &Path) -> Result<Config, Failure> {
    let failed =
        |error: std::io::Error| Failure::other(format!("the token cannot be kept in {}: {error}", directory.display()));
    create(directory).map_err(failed)?;
    let key = directory.join("seal-key");
    match new_file(&key) {
        Ok(mut file) => file.write_all(generated()?.as_bytes()).map_err(failed)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or_else(|| Failure::usage("--keep is not UTF-8"));
    let tokens = directory.join("tokens");
    create(&tokens).map_err(failed)?;
    Ok(config.set("store.directory", text(&tokens)?).set("store.seal_key_file", text(&key)?))
}

/// In the form that the store takes: 32 bytes in base64.
fn generated() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Failure::other(format!("no random numbers: {error}")))?;
    Ok(STANDARD.encode(bytes))
}

#[cfg(unix)]
fn create(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(not(unix))]
fn create(directory: &Path) -> std::io::Result<()> {
    fs::create_dir_all(directory)
}

fn new_file(path: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
