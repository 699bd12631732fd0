//! Where a secret comes from: read anew for each attempt, so that a rotated one is found.

mod expiry;
mod file;
#[cfg(any(feature = "jwt", feature = "mtls", feature = "redis"))]
mod last_good;
mod reads;
mod sighting;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroize;

use crate::clock::Moment;
use crate::contained::{Panicked, contained, contained_future};
use crate::error::{Error, ErrorKind, Look};
use crate::event::event;
use file::SecretFile;
#[cfg(any(feature = "jwt", feature = "mtls", feature = "redis"))]
pub(crate) use last_good::LastGood;
#[cfg(feature = "jwt")]
pub(crate) use last_good::unusable;
pub(crate) use sighting::{Kind, Shape};

/// A secret, a key or a certificate, or where to read it.
///
/// It is read anew for each attempt to fetch a token, and once more when the authorization server says
/// `invalid_client`: a rotated secret needs no restart. Two can [overlap](Self::or). `Debug` tells where it comes from,
/// never what it is.
///
/// ```
/// use client_credentials::Credential;
/// let credentials = [
///     Credential::from("a value"),
///     Credential::env("CLIENT_SECRET"),
///     Credential::file("/run/secrets/client-secret"),
///     Credential::from_fn(|| async { Ok::<_, std::io::Error>("from a vault") }),
/// ];
/// assert!(!format!("{credentials:?}").contains("a value"));
/// ```
///
/// # Errors
///
/// A missing variable and an unusable value are faults that `build()` reports. What goes wrong later, when it is
/// read, is [`ErrorKind::Credential`]: transient, and no reason to give up a token that is still usable.
#[derive(Clone)]
pub struct Credential {
    /// Never empty.
    origins: Arc<[Origin]>,
    /// Which of them the authorization server accepted last.
    accepted: Arc<AtomicUsize>,
}

#[derive(Clone)]
enum Origin {
    Value(SecretString),
    /// A secret of no characters, on purpose.
    Empty,
    Env(String),
    File(SecretFile),
    Closure(Arc<Closure>),
}

type Closure = dyn Fn() -> Pin<Box<dyn Future<Output = Result<SecretString, Error>> + Send>> + Send + Sync;

impl Credential {
    /// From an environment variable, taken as it is.
    pub fn env(name: impl Into<String>) -> Self {
        Origin::Env(name.into()).into()
    }

    /// A secret of no characters, for the few servers that register clients with one (`client_secret_basic("cf", ..)` at Cloud
    /// Foundry's UAA). Elsewhere an empty secret is an error, since it is a mistake of deployment.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, Credential};
    /// let auth = ClientAuth::client_secret_basic("cf", Credential::empty());
    /// ```
    pub fn empty() -> Self {
        Origin::Empty.into()
    }

    /// From a regular file (UTF-8, at most 1 MiB), at the end of symbolic links too. A byte order mark at its head and one
    /// trailing newline are dropped.
    ///
    /// - Replacing the file, or the directory's `..data` link in Kubernetes, rotates the secret. After a fetch that was refused,
    ///   or that found nothing usable in the file, callers do not wait out the backoff when the file is corrected: while calls
    ///   come in, one of them looks at the file once a second, and a fetch starts at once when it says something else. That
    ///   sends no request before.
    /// - A file that is half written, empty or missing does not stop a client that worked: what is read is tried first, then the
    ///   other credentials ([`or`](Self::or)), and then the secret of this file that the authorization server accepted last. That
    ///   one is kept until another is accepted, until the server refuses it, or until the process ends. Keys and certificates
    ///   stay in use the same way while the new text is none.
    /// - A FIFO, a socket, a device and a directory are refused. Reads run on a few threads of this crate, one for each path: if a
    ///   network mount hangs, a fetch fails after 5 s with an error that names the file, and those after it fail at once until
    ///   the read ends. Of such reads at most 16 run in a process; while 8 hang, other files are not read either. Dropping the
    ///   runtime waits for none of them longer than 5 s.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Origin::File(SecretFile::new(path.into())).into()
    }

    /// From an async closure, for instance a call to a vault.
    ///
    /// It runs inside the fetch, and shares its deadline. A panic in it is an error like any other.
    pub fn from_fn<F, Fut, T, E>(f: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<SecretString>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let closure: Arc<Closure> = Arc::new(move || {
            let panicked = |Panicked| unreadable(Panicked::text("the closure given to Credential::from_fn"));
            let read = contained(&f).map_err(panicked);
            Box::pin(async move {
                let read = contained_future(read?).await.map_err(panicked)?;
                read.map(Into::into)
                    .map_err(|e| unreadable("the closure given to Credential::from_fn failed").because_of(e))
            })
        });
        Origin::Closure(closure).into()
    }

    /// A second one beside it, while a rotation is under way: it is tried when the client is refused with the first, or the first
    /// cannot be read. The one that worked is tried first from then on, by all clones.
    ///
    /// The client is refused where the token endpoint answers 401, whatever its code and body (RFC 6749 section 5.2; Keycloak,
    /// Auth0, Okta and others each have a code of their own), 403 without an OAuth error, or a code about the client or its
    /// credentials (`invalid_client`) with any status. An HTML page is no verdict: firewalls and proxies send them. Nor is a code
    /// about something else, such as `invalid_scope`. See [`ErrorKind::Denied`].
    ///
    /// ```
    /// use client_credentials::Credential;
    /// // Either may be active already, or still.
    /// let secret = Credential::file("/run/secrets/new").or(Credential::file("/run/secrets/old"));
    /// assert_eq!(format!("{secret:?}"), "Credential(file /run/secrets/new, or file /run/secrets/old)");
    /// ```
    pub fn or(self, second: impl Into<Credential>) -> Self {
        let second = second.into();
        let origins = self.origins.iter().chain(second.origins.iter()).cloned();
        Credential { origins: origins.collect(), accepted: Arc::default() }
    }

    /// Which origins to try, the one that was accepted last before the others.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.origins.len();
        let first = self.accepted.load(Ordering::Relaxed);
        (0..count).map(move |n| (first + n) % count)
    }

    /// Where [`read`](Self::read) finds, for each file, what of it the authorization server accepted last: to be tried after
    /// the [`places`](Self::places), since a file may be half written.
    pub(crate) fn last_good_places(&self) -> Vec<usize> {
        let has_one = |place: &usize| match self.origins.get(*place) {
            Some(Origin::File(file)) => file.last_good().is_some(),
            _ => false,
        };
        self.places().filter(has_one).map(|place| place + self.origins.len()).collect()
    }

    /// Remembers the origin that the authorization server accepted, and what was read there.
    pub(crate) fn accept(&self, place: usize, secret: Option<&SecretString>) {
        let Some(origin) = self.origins.get(place) else {
            event!(warn, credential = ?self, "what the file says was refused or could not be read: the secret that was accepted last is used");
            return;
        };
        if let (Origin::File(file), Some(secret)) = (origin, secret) {
            file.accepted(secret);
        }
        if self.accepted.swap(place, Ordering::Relaxed) != place {
            event!(info, credential = ?origin, "another of the client's credentials was accepted: it is tried first from now on");
        }
    }

    /// The authorization server refused what was read there.
    pub(crate) fn refuse(&self, place: usize, secret: &SecretString) {
        if let Some(Origin::File(file)) = self.origins.get(place % self.origins.len().max(1)) {
            file.refused(secret);
        }
    }

    /// Reads a secret. Empty values and control characters are errors: neither is ever meant, and the latter do not
    /// survive the way through headers and forms.
    pub(crate) async fn read(&self, place: usize) -> Result<SecretString, Error> {
        match (self.origins.get(place), place.checked_sub(self.origins.len())) {
            (Some(Origin::Empty), _) => return Ok(SecretString::default()),
            (None, Some(last_good)) => {
                if let Some(Origin::File(file)) = self.origins.get(last_good) {
                    return file.last_good().ok_or_else(|| unreadable("there is no secret that was accepted"));
                }
            }
            (_, _) => {}
        }
        self.checked(place, flaw).await
    }

    /// Reads an assertion of a platform: a JWT that has expired is an error, since the server would refuse it.
    pub(crate) async fn read_unexpired(&self, place: usize, now: Moment) -> Result<SecretString, Error> {
        let secret = self.read(place).await?;
        match (
            expiry::expired_for(secret.expose_secret(), now.wall()),
            self.origins.get(place % self.origins.len().max(1)),
        ) {
            (Some(ago), Some(origin)) => Err(unreadable(format!(
                "{} has a JWT that expired {} s ago, and is not sent: does what renews it still run, and is the clock right?",
                origin.name(),
                ago.as_secs()
            ))),
            (_, _) => Ok(secret),
        }
    }

    /// When an assertion expires, since the epoch; `None`: it is no JWT, or does not say.
    pub(crate) fn expiry(assertion: &SecretString) -> Option<Duration> {
        expiry::expiry(assertion.expose_secret())
    }

    /// Reads a key or certificate, which has lines.
    #[cfg(any(feature = "jwt", feature = "mtls", feature = "shared"))]
    pub(crate) async fn read_text(&self, place: usize) -> Result<SecretString, Error> {
        // Empty is what a file is while it is written: whoever parses it finds that out.
        self.checked(place, |_| None).await
    }

    async fn checked(&self, place: usize, flaw: impl Fn(&str) -> Option<&'static str>) -> Result<SecretString, Error> {
        let Some(origin) = self.origins.get(place) else {
            return Err(unreadable("there is no such credential"));
        };
        let secret = origin.read().await?;
        match flaw(secret.expose_secret()) {
            None => Ok(secret),
            Some(flaw) => Err(unreadable(format!("{} {flaw}", origin.name()))),
        }
    }

    /// What is wrong with it as a secret, as far as can be told without I/O.
    pub(crate) fn fault(&self) -> Option<String> {
        match &*self.origins {
            [Origin::Empty] => None,
            _ => self.fault_by(secret_flaw),
        }
    }

    /// What is wrong with it as a secret that must have characters.
    pub(crate) fn fault_or_empty(&self) -> Option<String> {
        self.fault_by(secret_flaw)
    }

    /// What `flaw` finds in those that can be read without I/O.
    pub(crate) fn fault_by(&self, flaw: impl Fn(&str) -> Option<String>) -> Option<String> {
        let (mut missing, mut flaws) = (Vec::new(), Vec::new());
        for origin in self.origins.iter() {
            match origin {
                Origin::Value(secret) => flaws.extend(flaw(secret.expose_secret())),
                Origin::Empty => flaws.extend(flaw("")),
                Origin::Env(name) => match from_env(name) {
                    Ok(secret) => {
                        let flaw = flaw(secret.expose_secret());
                        flaws.extend(flaw.map(|flaw| format!("({}) {flaw}", origin.name())));
                    }
                    Err(error) => missing.push(format!("cannot be read: {error}")),
                },
                Origin::File(_) | Origin::Closure(_) => {}
            }
        }
        // Of several origins one is enough.
        if missing.len() == self.origins.len() {
            flaws.extend(missing);
        }
        (!flaws.is_empty()).then(|| flaws.join(", and "))
    }
}

impl Origin {
    async fn read(&self) -> Result<SecretString, Error> {
        match self {
            Origin::Value(secret) => Ok(secret.clone()),
            Origin::Empty => Ok(SecretString::default()),
            Origin::Env(name) => from_env(name),
            Origin::File(file) => file.read().await,
            Origin::Closure(f) => f().await,
        }
    }

    fn name(&self) -> String {
        match self {
            Origin::Value(_) | Origin::Empty => "the secret".to_owned(),
            Origin::Env(name) => format!("the environment variable {name}"),
            Origin::File(file) => format!("the file {file}"),
            Origin::Closure(_) => "what the closure given to Credential::from_fn returned".to_owned(),
        }
    }
}

fn secret_flaw(secret: &str) -> Option<String> {
    flaw(secret).map(str::to_owned)
}

/// Looks whether one of the files that these credentials were read from says something else now.
pub(crate) fn look<'c>(credentials: impl IntoIterator<Item = &'c Credential>) -> Option<Look> {
    let origins = credentials.into_iter().flat_map(|credential| credential.origins.iter());
    let sightings: Arc<[_]> = origins
        .filter_map(|origin| match origin {
            Origin::File(file) => file.sighting(),
            _ => None,
        })
        .collect();
    if sightings.is_empty() {
        return None;
    }
    Some(Arc::new(move || {
        let sightings = Arc::clone(&sightings);
        Box::pin(async move {
            for sighting in sightings.iter() {
                if sighting.is_outdated().await {
                    return true;
                }
            }
            false
        })
    }))
}

fn unreadable(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::of(ErrorKind::Credential, message).transient()
}

pub(crate) fn flaw(secret: &str) -> Option<&'static str> {
    if secret.is_empty() {
        Some("is empty (a client whose secret really is empty has Credential::empty())")
    } else if secret.chars().any(char::is_control) {
        Some("has a control character (a line break?)")
    } else {
        None
    }
}

fn from_env(name: &str) -> Result<SecretString, Error> {
    // Without these `std` panics or reports the wrong thing.
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(unreadable(format!("{name:?} is not a name of an environment variable")));
    }
    match std::env::var(name) {
        Ok(value) => Ok(value.into()),
        Err(std::env::VarError::NotPresent) => Err(unreadable(format!("the environment variable {name} is not set"))),
        // Its `Display` would show the value.
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(unreadable(format!("the environment variable {name} is not UTF-8")))
        }
    }
}

/// What a file says: UTF-8, without the byte order mark and the one trailing newline that editors add.
pub(crate) fn text_of(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Some(text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text)))
}

impl From<Origin> for Credential {
    fn from(origin: Origin) -> Self {
        Credential { origins: Arc::new([origin]), accepted: Arc::default() }
    }
}

impl From<&str> for Credential {
    fn from(secret: &str) -> Self {
        Origin::Value(secret.into()).into()
    }
}

impl From<String> for Credential {
    fn from(mut secret: String) -> Self {
        let credential = secret.as_str().into();
        secret.zeroize();
        credential
    }
}

impl From<SecretString> for Credential {
    fn from(secret: SecretString) -> Self {
        Origin::Value(secret).into()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(")?;
        for (n, origin) in self.origins.iter().enumerate() {
            write!(f, "{}{origin:?}", if n == 0 { "" } else { ", or " })?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Value(_) => f.write_str("value"),
            Origin::Empty => f.write_str("empty"),
            Origin::Env(name) => write!(f, "env {name}"),
            Origin::File(file) => write!(f, "file {file}"),
            Origin::Closure(_) => f.write_str("from_fn"),
        }
    }
}
