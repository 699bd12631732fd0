//! Parameters of the token request whose values are secrets: the token that is exchanged, an assertion of a platform.

use secrecy::{ExposeSecret, SecretString};

use crate::clock::Moment;
use crate::credential::Credential;
use crate::error::{Error, ErrorKind};

/// By name, in the order of the request. They are read for each attempt, since a platform renews its tokens.
#[derive(Clone, Default)]
pub(crate) struct SecretParams(pub(crate) Vec<(String, Credential)>);

/// The values that were read.
pub(crate) type Secrets = Vec<(String, SecretString)>;

impl SecretParams {
    pub(crate) fn credentials(&self) -> impl Iterator<Item = &Credential> {
        self.0.iter().map(|(_, credential)| credential)
    }

    /// The turns to [`read`](Self::read) in order while the server refuses the values: one for each origin, and the
    /// first again, which may have been renewed meanwhile.
    pub(crate) fn turns(&self) -> impl Iterator<Item = usize> + use<> {
        let most = self.credentials().map(|credential| credential.places().count()).max();
        (0..most.unwrap_or_default()).chain([0])
    }

    /// The server accepted the values read at `places`.
    pub(crate) fn accept(&self, places: &[usize]) {
        self.credentials().zip(places).for_each(|(credential, place)| credential.accept(*place, None));
    }

    /// Reads each value from the first of its origins that can be read and has not expired, beginning with that of this
    /// turn. Also returns the places.
    pub(crate) async fn read(&self, turn: usize, now: Moment) -> Result<(Secrets, Vec<usize>), Error> {
        let mut secrets = Vec::with_capacity(self.0.len());
        let mut found = Vec::with_capacity(self.0.len());
        for (name, credential) in &self.0 {
            let mut unread = None;
            let mut read = None;
            let places: Vec<_> = credential.places().collect();
            for place in places.iter().copied().cycle().skip(turn % places.len().max(1)).take(places.len()) {
                match credential.read_unexpired(place, now).await {
                    Ok(secret) => {
                        read = Some(secret);
                        found.push(place);
                        break;
                    }
                    Err(error) => {
                        unread.get_or_insert(error);
                    }
                }
            }
            match (read, unread) {
                (Some(secret), _) => secrets.push((name.clone(), secret)),
                (None, Some(error)) => return Err(error.at(&format!("the parameter {name}"))),
                (None, None) => return Err(Error::of(ErrorKind::Credential, format!("there is no {name}"))),
            }
        }
        Ok((secrets, found))
    }

    /// The faults that can be found without I/O.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().filter_map(|(name, credential)| Some((name.as_str(), credential.fault_or_empty()?)))
    }
}

/// Whether the server would receive the same again.
pub(crate) fn same(one: &Secrets, other: &Secrets) -> bool {
    one.iter().map(|(_, secret)| secret.expose_secret()).eq(other.iter().map(|(_, secret)| secret.expose_secret()))
}
