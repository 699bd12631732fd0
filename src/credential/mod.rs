//! Where a secret comes from: read anew for each attempt, so that a rotated one is found.

#[cfg(any(feature = "jwt", feature = "mtls"))]
mod last_good;
mod sighting;

use std::fmt;
use std::future::Future;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::{ExposeSecret, SecretString};
use zeroize::{Zeroize, Zeroizing};

use crate::contained::{Panicked, contained, contained_future};
use crate::error::{Error, ErrorKind};
use crate::event::event;
#[cfg(any(feature = "jwt", feature = "mtls"))]
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
    Env(String),
    File(PathBuf),
    Closure(Arc<Closure>),
}

type Closure = dyn Fn() -> Pin<Box<dyn Future<Output = Result<SecretString, Error>> + Send>> + Send + Sync;

/// 1 MiB: far beyond any secret or key, far below what hurts.
const LARGEST_FILE: u64 = 1024 * 1024;

impl Credential {
    /// From an environment variable, taken as it is.
    pub fn env(name: impl Into<String>) -> Self {
        Origin::Env(name.into()).into()
    }

    /// From a file (UTF-8, at most 1 MiB). One trailing newline is dropped.
    ///
    /// Replacing the file, or the directory's `..data` link in Kubernetes, rotates the secret.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Origin::File(path.into()).into()
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

    /// Remembers the origin that the authorization server accepted.
    pub(crate) fn accept(&self, place: usize) {
        if self.accepted.swap(place, Ordering::Relaxed) != place {
            event!(info, credential = ?self.origins.get(place), "another of the client's credentials was accepted: it is tried first from now on");
        }
    }

    /// Reads a secret. Empty values and control characters are errors: neither is ever meant, and the latter do not
    /// survive the way through headers and forms.
    pub(crate) async fn read(&self, place: usize) -> Result<SecretString, Error> {
        self.checked(place, flaw).await
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
        self.fault_by(|secret| flaw(secret).map(str::to_owned))
    }

    /// What `flaw` finds in those that can be read without I/O.
    pub(crate) fn fault_by(&self, flaw: impl Fn(&str) -> Option<String>) -> Option<String> {
        let (mut missing, mut flaws) = (Vec::new(), Vec::new());
        for origin in self.origins.iter() {
            match origin {
                Origin::Value(secret) => flaws.extend(flaw(secret.expose_secret())),
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
            Origin::Env(name) => from_env(name),
            Origin::File(path) => {
                let path = path.clone();
                // A file may lie on a network: it is not read on a thread that other tasks need.
                tokio::task::spawn_blocking(move || from_file(&path))
                    .await
                    .map_err(|_| unreadable("the runtime shut down while the credential was read"))?
            }
            Origin::Closure(f) => f().await,
        }
    }

    fn name(&self) -> String {
        match self {
            Origin::Value(_) => "the secret".to_owned(),
            Origin::Env(name) => format!("the environment variable {name}"),
            Origin::File(path) => format!("the file {}", path.display()),
            Origin::Closure(_) => "what the closure given to Credential::from_fn returned".to_owned(),
        }
    }
}

fn unreadable(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::of(ErrorKind::Credential, message).transient()
}

pub(crate) fn flaw(secret: &str) -> Option<&'static str> {
    if secret.is_empty() {
        Some("is empty")
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

fn from_file(path: &Path) -> Result<SecretString, Error> {
    let failed = |e: std::io::Error| unreadable(format!("the file {} cannot be read", path.display())).because(e);
    let file = std::fs::File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len().min(LARGEST_FILE);
    // Room for everything at once: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or_default().saturating_add(1)));
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(unreadable(format!("the file {} is larger than 1 MiB: is it the right one?", path.display())));
    }
    let text = text_of(&bytes).ok_or_else(|| unreadable(format!("the file {} is not UTF-8", path.display())))?;
    Ok(text.into())
}

/// What a file says: UTF-8, without the one trailing newline that editors add.
pub(crate) fn text_of(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
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
            Origin::Env(name) => write!(f, "env {name}"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Closure(_) => f.write_str("from_fn"),
        }
    }
}
