//! A small map of bounded size.

/// Keeps the last `MOST` entries: an insertion beyond that drops the one that was inserted or updated longest ago. A
/// look-up is linear, which suffices for a few hundred entries.
#[derive(Debug)]
pub(crate) struct Bounded<K, V, const MOST: usize>(Vec<(K, V)>);

impl<K: PartialEq, V, const MOST: usize> Bounded<K, V, MOST> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.0.iter().find(|(one, _)| one == key).map(|(_, value)| value)
    }

    /// The entry becomes the newest one.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.0.retain(|(one, _)| *one != key);
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push((key, value));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K, V, const MOST: usize> Default for Bounded<K, V, MOST> {
    fn default() -> Self {
        Bounded(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_is_evicted() {
        let mut map = Bounded::<_, _, 2>::default();
        map.insert("a", 1);
        map.insert("b", 2);
        map.insert("a", 3);
        map.insert("c", 4);
        assert_eq!((map.get(&"a"), map.get(&"b"), map.get(&"c")), (Some(&3), None, Some(&4)));
        assert_eq!(map.len(), 2);
    }
}
