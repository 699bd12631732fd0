//! The origin of a secret, which is read for each attempt, so that a rotated secret is used.

mod expiry;
mod file;
#[cfg(any(feature = "jwt", feature = "mtls", feature = "redis"))]
mod last_good;
mod reads;
mod sighting;

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroize;

use crate::clock::Moment;
use crate::contained::{Panicked, contained, contained_future};
use crate::error::{Error, Look};
use crate::event::event;
pub(crate) use expiry::expiry;
use file::SecretFile;
#[cfg(any(feature = "jwt", feature = "mtls", feature = "redis"))]
pub(crate) use last_good::LastGood;
#[cfg(all(feature = "serde", feature = "rustls"))]
pub(crate) use reads::read_now;
pub(crate) use sighting::Shape;

/// A secret, key or certificate, or the place to read it from.
///
/// It is read again for each attempt to fetch a token, and once more when the authorization server returns `invalid_client`,
/// so a rotated secret needs no restart. Two credentials can [overlap](Self::or). `Debug` shows the origin, never the value.
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
/// `build()` reports a missing variable or an unusable value. A later failure to read the credential is a transient
/// [`ErrorKind::Credential`](crate::ErrorKind::Credential); a token that is still usable stays in use.
#[derive(Clone)]
pub struct Credential {
    /// Never empty.
    origins: Arc<[Origin]>,
    /// The index of the one that the authorization server accepted last.
    accepted: Arc<AtomicUsize>,
}

#[derive(Clone)]
enum Origin {
    Value(SecretString),
    /// An intentionally empty secret.
    Empty,
    Env(String),
    File(SecretFile),
    Closure(Arc<Closure>),
}

type Closure = dyn Fn() -> Pin<Box<dyn Future<Output = Result<SecretString, Error>> + Send>> + Send + Sync;

impl Credential {
    /// Reads an environment variable, unchanged.
    pub fn env(name: impl Into<String>) -> Self {
        Origin::Env(name.into()).into()
    }

    /// Returns an empty secret, for the few servers that register clients with one (`client_secret_basic("cf", ..)` at Cloud
    /// Foundry's UAA). Any other empty secret is an error, because it indicates a deployment mistake.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, Credential};
    /// let auth = ClientAuth::client_secret_basic("cf", Credential::empty());
    /// ```
    pub fn empty() -> Self {
        Origin::Empty.into()
    }

    /// Reads a regular file (UTF-8, at most 1 MiB); symbolic links are followed. A leading byte order mark and one trailing
    /// newline are removed.
    ///
    /// - To rotate the secret, replace the file, or the directory's `..data` link in Kubernetes. If a fetch was refused or
    ///   found no usable content, correcting the file ends the backoff: while calls come in, one of them checks the file once
    ///   a second, and a fetch starts as soon as its content has changed. The check sends no request.
    /// - A half-written, empty or missing file does not stop a client that worked before: the current content is tried first,
    ///   then the other credentials ([`or`](Self::or)), then the secret from this file that the authorization server accepted
    ///   last. That secret is kept until another one is accepted, the server refuses it, or the process ends. Keys and
    ///   certificates likewise stay in use while the new text is not usable.
    /// - FIFOs, sockets, devices and directories are refused. Each path is read on a thread of its own: if a network mount
    ///   hangs, a fetch fails after 5 s with an error that names the file, and later fetches fail at once until the read ends.
    ///   At most 16 reads run in a process; while 8 hang, no other file is read. Dropping the runtime waits at most 5 s for a
    ///   read.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Origin::File(SecretFile::new(path.into())).into()
    }

    /// Calls an async closure, for example to read from a vault.
    ///
    /// The closure runs within the fetch and its timeout. If it panics, the attempt fails with an error. It may return the token
    /// of another source: see [chains](crate::docs::workload#chains).
    pub fn from_fn<F, Fut, T, E>(f: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<SecretString>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let closure: Arc<Closure> = Arc::new(move || {
            let panicked = |Panicked| Error::of_credential(Panicked::text("the closure given to Credential::from_fn"));
            let read = contained(&f).map_err(panicked);
            Box::pin(async move {
                let read = contained_future(read?).await.map_err(panicked)?;
                read.map(Into::into)
                    .map_err(|e| Error::of_credential("the closure given to Credential::from_fn failed").because_of(e))
            })
        });
        Origin::Closure(closure).into()
    }

    /// Adds a second credential, for use during a rotation. It is tried if the server refuses the first or the first cannot be
    /// read. All clones then try the credential that worked first.
    ///
    /// The client counts as refused if the token endpoint returns 401 with any code and body (RFC 6749 section 5.2; Keycloak,
    /// Auth0, Okta and others use different codes), 403 without an OAuth error, or a code about the client or its credentials
    /// (`invalid_client`) with any status. HTML pages do not count, because firewalls and proxies send them, nor do other
    /// codes such as `invalid_scope`. See [`ErrorKind::Denied`](crate::ErrorKind::Denied).
    ///
    /// A token to exchange or a JWT assertion (`grant`, `secret_param`) counts as refused if the code is `invalid_grant`, or
    /// for an exchange also `invalid_request`: it has expired, or is not for this server. The other one is then sent. If there
    /// is only one, it is read again, and sent once more if the platform has renewed it meanwhile. A JWT whose `exp` has
    /// passed is skipped.
    ///
    /// ```
    /// use client_credentials::Credential;
    /// // Either may be active already, or still.
    /// let secret = Credential::file("/run/secrets/new")
    ///     .or(Credential::file("/run/secrets/old"));
    /// assert_eq!(
    ///     format!("{secret:?}"),
    ///     "Credential(file /run/secrets/new, or file /run/secrets/old)"
    /// );
    /// ```
    #[must_use = "it returns the credential"]
    pub fn or(self, second: impl Into<Credential>) -> Self {
        let second = second.into();
        let origins = self.origins.iter().chain(second.origins.iter()).cloned();
        Credential { origins: origins.collect(), accepted: Arc::default() }
    }

    /// The origins to try, the one that was accepted last first.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.origins.len();
        let first = self.accepted.load(Ordering::Relaxed);
        (0..count).map(move |n| (first + n) % count)
    }

    /// The places where [`read`](Self::read) returns the last accepted content of each file. They are tried after the
    /// [`places`](Self::places), since a file may be half written.
    pub(crate) fn last_good_places(&self) -> Vec<usize> {
        let has_one = |place: &usize| self.file_at(*place).is_some_and(|file| file.last_good().is_some());
        self.places().filter(has_one).map(|place| place + self.origins.len()).collect()
    }

    /// The origin of a place, also of one in [`last_good_places`](Self::last_good_places).
    fn origin_at(&self, place: usize) -> Option<&Origin> {
        self.origins.get(place % self.origins.len().max(1))
    }

    fn file_at(&self, place: usize) -> Option<&SecretFile> {
        match self.origin_at(place)? {
            Origin::File(file) => Some(file),
            _ => None,
        }
    }

    /// Remembers the origin that the authorization server accepted, and what was read there.
    pub(crate) fn accept(&self, place: usize, secret: Option<&SecretString>) {
        let Some(origin) = self.origins.get(place) else {
            event!(warn, credential = ?self, "the secret in the file was refused or could not be read: the one that was accepted last is used");
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
        if let Some(file) = self.file_at(place) {
            file.refused(secret);
        }
    }

    /// Reads a secret. Empty values and control characters are errors: neither is intended, and headers and forms cannot carry
    /// the latter.
    pub(crate) async fn read(&self, place: usize) -> Result<SecretString, Error> {
        match self.origins.get(place) {
            Some(Origin::Empty) => Ok(SecretString::default()),
            Some(origin) => {
                let secret = origin.read().await?;
                match flaw(secret.expose_secret()) {
                    None => Ok(secret),
                    Some(flaw) => Err(Error::of_credential(format!("{} {flaw}", origin.name()))),
                }
            }
            None => {
                let last_good = self.file_at(place).and_then(SecretFile::last_good);
                last_good.ok_or_else(|| Error::of_credential("there is no secret that was accepted"))
            }
        }
    }

    /// Reads an assertion of a platform: a JWT that has expired is an error, since the server would refuse it.
    pub(crate) async fn read_unexpired(&self, place: usize, now: Moment) -> Result<SecretString, Error> {
        let secret = self.read(place).await?;
        match (expiry::expired_for(secret.expose_secret(), now.wall()), self.origin_at(place)) {
            (Some(ago), Some(origin)) => Err(Error::of_credential(format!(
                "{} has a JWT that expired {} s ago, and is not sent: does what renews it still run, and is the clock right?",
                origin.name(),
                ago.as_secs()
            ))),
            (_, _) => Ok(secret),
        }
    }

    /// Reads a key or certificate, which has lines.
    #[cfg(any(feature = "jwt", feature = "mtls", feature = "shared"))]
    pub(crate) async fn read_text(&self, place: usize) -> Result<SecretString, Error> {
        // A file may be empty while it is written; the parser reports that.
        match self.origins.get(place) {
            Some(origin) => origin.read().await,
            None => Err(Error::of_credential("there is no such credential")),
        }
    }

    /// Its faults as a secret that can be found without I/O.
    pub(crate) fn fault(&self) -> Option<String> {
        match &*self.origins {
            [Origin::Empty] => None,
            _ => self.fault_or_empty(),
        }
    }

    /// Its faults as a secret that must not be empty.
    pub(crate) fn fault_or_empty(&self) -> Option<String> {
        self.fault_by(flaw)
    }

    /// The flaws that `flaw` finds in origins that can be read without I/O.
    pub(crate) fn fault_by<F: Into<String>>(&self, flaw: impl Fn(&str) -> Option<F>) -> Option<String> {
        let (mut missing, mut flaws) = (Vec::new(), Vec::new());
        for origin in self.origins.iter() {
            match origin {
                Origin::Value(secret) => flaws.extend(flaw(secret.expose_secret()).map(Into::into)),
                Origin::Empty => flaws.extend(flaw("").map(Into::into)),
                Origin::Env(name) => match from_env(name) {
                    Ok(secret) => {
                        let flaw = flaw(secret.expose_secret());
                        flaws.extend(flaw.map(|flaw| format!("({}) {}", origin.name(), flaw.into())));
                    }
                    Err(error) => missing.push(format!("cannot be read: {error}")),
                },
                Origin::File(_) | Origin::Closure(_) => {}
            }
        }
        // One of several origins is enough.
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

/// Checks whether the content of one of the files that these credentials were read from has changed.
pub(crate) fn look<'c>(credentials: impl IntoIterator<Item = &'c Credential>) -> Option<Look> {
    let origins = credentials.into_iter().flat_map(|credential| credential.origins.iter());
    let snapshots: Arc<[_]> = origins
        .filter_map(|origin| match origin {
            Origin::File(file) => file.snapshot(),
            _ => None,
        })
        .collect();
    if snapshots.is_empty() {
        return None;
    }
    Some(Arc::new(move || {
        let snapshots = Arc::clone(&snapshots);
        Box::pin(async move {
            for snapshot in snapshots.iter() {
                if snapshot.is_outdated().await {
                    return true;
                }
            }
            false
        })
    }))
}

pub(crate) fn flaw(secret: &str) -> Option<&'static str> {
    if secret.is_empty() {
        Some("is empty (a client whose secret really is empty has Credential::empty())")
    } else if secret.ends_with(['\n', '\r']) && !secret.trim_end_matches(['\n', '\r']).contains(char::is_control) {
        Some("ends with a line break (one is dropped from a file): write it without, by printf %s instead of echo")
    } else if secret.chars().any(char::is_control) {
        Some("has a control character (a line break?)")
    } else {
        None
    }
}

fn from_env(name: &str) -> Result<SecretString, Error> {
    // Without these `std` panics or reports the wrong thing.
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(Error::of_credential(format!("{name:?} is not a name of an environment variable")));
    }
    match std::env::var(name) {
        Ok(value) => Ok(value.into()),
        Err(std::env::VarError::NotPresent) => {
            Err(Error::of_credential(format!("the environment variable {name} is not set")))
        }
        // Its `Display` would show the value.
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::of_credential(format!("the environment variable {name} is not UTF-8")))
        }
    }
}

/// The content of a file: UTF-8, without a byte order mark and the one trailing newline that editors add.
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

#[cfg(all(test, feature = "tracing"))]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    use super::*;

    struct Reports(Arc<AtomicUsize>);

    impl<S: tracing::Subscriber> Layer<S> for Reports {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_change_of_the_accepted_credential_is_reported() {
        let count = Arc::new(AtomicUsize::new(0));
        let credential = Credential::from("one").or("another");
        let subscriber = tracing_subscriber::registry().with(Reports(Arc::clone(&count)));
        tracing::subscriber::with_default(subscriber, || {
            for (place, reports) in [(0, 0), (1, 1), (1, 1), (0, 2)] {
                credential.accept(place, None);
                assert_eq!(count.load(Ordering::Relaxed), reports, "{place}");
            }
        });
    }
}
