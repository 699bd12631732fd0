//! What can be reported about a credential without revealing it: its place, length and shape.

use std::fmt;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};

use super::{Credential, Origin, from_env};
use crate::error::Error;

/// One origin of a credential, read once.
pub(crate) struct Sighting {
    pub(crate) origin: String,
    /// The secret that would be used, if it can be read.
    pub(crate) secret: Result<SecretString, Error>,
    /// The time since the file was written.
    pub(crate) age: Option<Duration>,
}

impl Credential {
    /// Reads every origin once.
    pub(crate) async fn sight(&self) -> Vec<Sighting> {
        let mut sightings = Vec::new();
        for origin in self.origins.iter() {
            let secret = origin.read().await;
            let age = match origin {
                // Otherwise the mount may hang.
                Origin::File(file) if secret.is_ok() => age_of(file.path.to_path_buf()).await,
                _ => None,
            };
            sightings.push(Sighting { origin: format!("{origin:?}"), secret, age });
        }
        sightings
    }

    /// Its origins, and its shape where that takes no I/O.
    pub(crate) fn outline(&self) -> String {
        let outline = |origin: &Origin| match origin {
            Origin::Empty => "empty, on purpose".to_owned(),
            Origin::Value(secret) => format!("a value in the program, {}", Shape::of(secret.expose_secret())),
            Origin::Env(name) => match from_env(name) {
                Ok(secret) => format!("{origin:?}, {}", Shape::of(secret.expose_secret())),
                Err(_) => format!("{origin:?}, not set"),
            },
            Origin::File(_) | Origin::Closure(_) => format!("{origin:?}, read for each attempt"),
        };
        self.origins.iter().map(outline).collect::<Vec<_>>().join("; or ")
    }

    /// Whether it is a value in the program itself.
    pub(crate) fn is_in_program(&self) -> bool {
        self.origins.iter().any(|origin| matches!(origin, Origin::Value(_)))
    }
}

async fn age_of(path: std::path::PathBuf) -> Option<Duration> {
    // A file may be on a network mount: not on a thread that other tasks need.
    let modified = tokio::task::spawn_blocking(move || std::fs::metadata(path).and_then(|file| file.modified()));
    SystemTime::now().duration_since(modified.await.ok()?.ok()?).ok()
}

/// Length and kind of a text, without any part of its value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) characters: usize,
    kind: &'static str,
    /// Characters that are probably unintended, at its edges, or always, inside.
    pub(crate) flaws: Vec<&'static str>,
    /// Whether form-urlencoding changes it.
    pub(crate) is_encoded: bool,
}

impl Shape {
    pub(crate) fn of(text: &str) -> Shape {
        let inner = text.trim_matches(|c: char| c.is_whitespace() || c == BOM);
        let kind = kind_of(inner);
        let mut flaws = Vec::new();
        let mut flaw = |is: bool, flaw| flaws.extend(is.then_some(flaw));
        flaw(text.starts_with(BOM), "begins with a byte order mark");
        let text = text.trim_start_matches(BOM);
        let has_lines = [PEM, JSON].contains(&kind);
        let line = |c: char| c == '\n' || c == '\r';
        let blank = |c: char| c.is_whitespace() && !line(c);
        flaw(text.starts_with(blank), "begins with a blank");
        flaw(text.starts_with(line) && !has_lines, "begins with a line break");
        flaw(text.ends_with(blank), "ends with a blank");
        flaw(text.ends_with(line) && !has_lines, "ends with a line break");
        flaw(inner.chars().any(char::is_control) && !has_lines, "has a line break or another control character inside");
        let quoted = |quote: char| inner.len() > 1 && inner.starts_with(quote) && inner.ends_with(quote);
        flaw(quoted('"') || quoted('\''), "is in quotes");
        let plain = |c: char| c.is_ascii_alphanumeric() || "*-._~".contains(c);
        Shape { characters: text.chars().count(), kind, flaws, is_encoded: !inner.chars().all(plain) }
    }

    pub(crate) fn is_uuid(&self) -> bool {
        self.kind == UUID
    }
}

const BOM: char = '\u{feff}';

const UUID: &str = "a UUID";
const PEM: &str = "PEM";
const JSON: &str = "JSON";

fn kind_of(text: &str) -> &'static str {
    let groups = || text.split('-').map(str::len);
    let all = |fits: fn(char) -> bool| text.chars().all(fits);
    let base64url = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    match text {
        "" => "empty",
        _ if groups().eq([8, 4, 4, 4, 12]) && all(|c| c.is_ascii_hexdigit() || c == '-') => UUID,
        _ if text.starts_with("-----BEGIN ") => PEM,
        _ if text.starts_with('{') => JSON,
        // `{"` in base64.
        _ if text.starts_with("eyJ") && text.split('.').count() == 3 && text.split('.').all(base64url) => "a JWT",
        _ if text.len() >= 16 && all(|c| c.is_ascii_hexdigit()) => "hexadecimal",
        _ if all(|c| c.is_ascii_alphanumeric()) => "letters and digits",
        _ => "with special characters",
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.characters == 1 { "character" } else { "characters" };
        write!(f, "{} {unit}, {}", self.characters, self.kind)?;
        self.flaws.iter().try_for_each(|flaw| write!(f, ", {flaw}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_differ_by_kind_and_by_probable_mistakes() {
        for (text, shown) in [
            ("", "0 characters, empty"),
            ("x", "1 character, letters and digits"),
            ("5d1a3c5e-4b0f-4a53-a7c0-30b1f6ae9ed0", "36 characters, a UUID"),
            ("eyJhbGciOiJub25lIn0.e30.x", "25 characters, a JWT"),
            ("secret\n", "7 characters, letters and digits, ends with a line break"),
            (" secret", "7 characters, letters and digits, begins with a blank"),
            ("\u{feff}secret", "6 characters, letters and digits, begins with a byte order mark"),
            ("\"secret\"", "8 characters, with special characters, is in quotes"),
            ("se\ncret", "7 characters, with special characters, has a line break or another control character inside"),
            ("0123456789abcdef", "16 characters, hexadecimal"),
            ("0123456789abcde", "15 characters, letters and digits"),
            ("0123456789abcdefxyz", "19 characters, letters and digits"),
            ("eyJ_-w.eyJ-_w.-_", "16 characters, a JWT"),
            ("eyJhbGciOiJub25lIn0", "19 characters, letters and digits"),
            ("eyJh+.eyJh.x", "12 characters, with special characters"),
            ("a.b.c", "5 characters, with special characters"),
            ("\n{\"kty\":\"EC\"}\n", "14 characters, JSON"),
            ("\nsecret", "7 characters, letters and digits, begins with a line break"),
            ("secret ", "7 characters, letters and digits, ends with a blank"),
            ("\"", "1 character, with special characters"),
            ("\"secret", "7 characters, with special characters"),
            ("secret'", "7 characters, with special characters"),
            ("'secret'", "8 characters, with special characters, is in quotes"),
            ("-----BEGIN X-----\n-----END X-----\n", "34 characters, PEM"),
        ] {
            assert_eq!(Shape::of(text).to_string(), shown, "{text:?}");
        }
        assert!(Shape::of("a+b").is_encoded && !Shape::of("a-b~c").is_encoded);
    }

    #[tokio::test]
    async fn a_sighting_has_origin_and_age_and_outlines_have_no_value() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hush hush\n").unwrap();
        let credential = Credential::file(file.path()).or(Credential::from("hush-canary"));
        let sightings = credential.sight().await;
        assert!(sightings[0].age.is_some() && sightings[1].age.is_none());
        assert!(credential.is_in_program() && !Credential::file(file.path()).is_in_program());
        let directory = Credential::file(std::env::temp_dir()).sight().await;
        assert!(directory[0].secret.is_err() && directory[0].age.is_none());
        assert_eq!(Shape::of(sightings[0].secret.as_ref().unwrap().expose_secret()).characters, 9);
        let outline = credential.outline();
        assert!(outline.contains("read for each attempt; or a value in the program, 11 characters"), "{outline}");
        assert!(!outline.contains("hush"), "{outline}");
    }

    #[tokio::test]
    async fn the_age_of_a_file_counts_from_its_last_change() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let two_hours = Duration::from_secs(7200);
        file.as_file().set_modified(SystemTime::now() - two_hours).unwrap();
        assert!(age_of(file.path().to_owned()).await.unwrap() >= two_hours);
        assert_eq!(age_of("/nowhere/secret".into()).await, None);
    }
}
