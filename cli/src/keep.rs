//! The token is kept between calls, sealed with a key in the same directory: only this user can read either.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

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
    Ok(base64(&bytes))
}

/// RFC 4648 section 4, of 32 bytes.
fn base64(bytes: &[u8; 32]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(44);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for n in 0..4_usize {
            let digit = usize::try_from(word >> (18 - 6 * n) & 63).ok().and_then(|at| ALPHABET.get(at)).copied();
            text.push(if n <= chunk.len() { char::from(digit.unwrap_or(b'A')) } else { '=' });
        }
    }
    text
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
