//! The token is kept between calls, sealed with a key in the same directory: only this user can read either.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Once;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use client_credentials::{Config, Event, Observer};

use crate::exit::{Failure, warn};

pub(crate) fn at(config: Config, directory: &Path) -> Result<Config, Failure> {
    let failed = |error: Error| Failure::other(format!("the token cannot be kept in {}: {error}", directory.display()));
    create(directory).map_err(failed)?;
    let key = directory.join(KEY);
    ensure_key(directory, &key).map_err(failed)?;
    let text = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| Failure::usage("--keep (or the variable CLIENT_CREDENTIALS_KEEP) is not UTF-8"))
    };
    let tokens = directory.join("tokens");
    create(&tokens).map_err(failed)?;
    let config = config.set("store.directory", text(&tokens)?).set("store.seal_key_file", text(&key)?);
    Ok(if config.get("store.timeout").is_some() { config } else { config.set("store.timeout", PATIENCE) })
}

/// Warns if the store fails. The token is then obtained without it, so every call sends a token request.
pub(crate) fn observer(json: bool) -> impl Observer {
    let once = Once::new();
    move |_: &str, event: &Event<'_>| {
        if let Event::StoreOperation { operation, error: Some(error), .. } = event {
            let text =
                format!("the store of tokens fails ({operation}), and the token is obtained without it: {error:#}");
            once.call_once(|| warn(&text, json));
        }
    }
}

const KEY: &str = "seal-key";

/// 5 s: a slow disk is faster than a token request that would not be needed.
const PATIENCE: &str = "5s";

/// Makes the key unless there is one. It gets its name once it is complete, and never replaces another: processes that
/// start at the same time use the same key, and one that is killed leaves no part of a key.
fn ensure_key(directory: &Path, path: &Path) -> Result<(), Error> {
    // Anything else may wait for a writer, such as a named pipe.
    match fs::metadata(path) {
        Ok(there) if there.is_file() => return check(path),
        Ok(_) => return Err(Error::other(format!("{} is not a file", path.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(at_path(path, &error)),
    }
    // 0600.
    let mut file = tempfile::Builder::new().prefix(KEY).tempfile_in(directory)?;
    file.write_all(generated()?.as_bytes())?;
    // A name without content would remain after a power failure.
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => check(path),
        Err(failed) => Err(at_path(path, &failed.error)),
    }
}

fn check(path: &Path) -> Result<(), Error> {
    let mut text = String::new();
    let is_key = match File::open(path).and_then(|file| file.take(MOST).read_to_string(&mut text)) {
        Ok(_) => is_key(text.trim()),
        Err(error) if error.kind() == ErrorKind::InvalidData => false,
        Err(error) => return Err(at_path(path, &error)),
    };
    match is_key {
        true => Ok(()),
        false => Err(Error::other(format!(
            "{} is not a key (32 bytes in base64): delete that file, and the next call makes a new one",
            path.display()
        ))),
    }
}

/// Several times the size of a key.
const MOST: u64 = 256;
/// Of AES-256, which seals the tokens.
const LENGTH: usize = 32;

/// In a form that the store takes.
fn is_key(text: &str) -> bool {
    [&STANDARD, &URL_SAFE, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD]
        .iter()
        .any(|engine| engine.decode(text).is_ok_and(|bytes| bytes.len() == LENGTH))
}

fn at_path(path: &Path, error: &Error) -> Error {
    Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn generated() -> Result<String, Error> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| Error::other(format!("no random numbers: {error}")))?;
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
