//! Values parsed from texts that are read repeatedly: parsed again when the texts have changed, and kept while the new ones
//! are not usable, since a file may be half written and a pair half rotated.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::error::Error;
use crate::event::event;
use crate::lock::Lock;

/// By the place that the texts were read from.
pub(crate) struct LastGood<T>(Lock<BTreeMap<usize, Known<T>>>);

struct Known<T> {
    made: Arc<T>,
    of: Vec<SecretString>,
    /// The last texts that were not usable, so that each is reported once.
    refused: Option<Vec<SecretString>>,
}

impl<T> LastGood<T> {
    /// `make` returns what is wrong with the texts if they cannot be parsed.
    pub(crate) fn made_of<S: AsRef<[SecretString]>>(
        &self,
        texts: S,
        place: usize,
        make: impl FnOnce(&S) -> Result<T, String>,
    ) -> Result<Arc<T>, Error> {
        let mut all = self.0.lock();
        let known = all.get_mut(&place);
        if let Some(known) = known.as_ref().filter(|known| same(&known.of, texts.as_ref())) {
            return Ok(Arc::clone(&known.made));
        }
        match (make(&texts), known) {
            (Ok(made), _) => {
                let made = Arc::new(made);
                let known = Known { made: Arc::clone(&made), of: texts.as_ref().to_vec(), refused: None };
                all.insert(place, known);
                Ok(made)
            }
            (Err(_flaw), Some(known)) => {
                if !known.refused.as_ref().is_some_and(|refused| same(refused, texts.as_ref())) {
                    event!(warn, flaw = %_flaw, "the key or certificate that was read is not usable: the previous one stays in use");
                    known.refused = Some(texts.as_ref().to_vec());
                }
                Ok(Arc::clone(&known.made))
            }
            (Err(flaw), None) => Err(Error::of_credential(flaw)),
        }
    }
}

fn same(one: &[SecretString], other: &[SecretString]) -> bool {
    one.iter().map(ExposeSecret::expose_secret).eq(other.iter().map(ExposeSecret::expose_secret))
}

impl<T> Default for LastGood<T> {
    fn default() -> Self {
        LastGood(Lock::default())
    }
}
