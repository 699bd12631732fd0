//! The causes of an error, as texts without secrets.

use std::error::Error as StdError;

/// One level of a foreign error chain, as sanitised text: the foreign value itself is dropped, since its `Debug` could show
/// more than its `Display`.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Cause {
    text: String,
    source: Option<Box<Cause>>,
}

impl Cause {
    /// Copies the texts of `e` and its sources, each sanitised by `clean`.
    pub(crate) fn of(e: &(dyn StdError + 'static), clean: &dyn Fn(&str) -> String) -> Cause {
        const DEPTH: usize = 8; // deeper than any chain of reqwest's
        Cause::level(e, clean, DEPTH)
    }

    /// The text of the last cause, which says most.
    pub(crate) fn innermost(&self) -> &str {
        self.source.as_ref().map_or(&self.text, |source| source.innermost())
    }

    fn level(e: &(dyn StdError + 'static), clean: &dyn Fn(&str) -> String, depth: usize) -> Cause {
        let source = match e.source() {
            Some(next) if depth > 0 => Some(Box::new(Cause::level(next, clean, depth - 1))),
            _ => None,
        };
        Cause { text: clean(&e.to_string()), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    #[test]
    fn the_copied_causes_end_at_a_depth() {
        let chain = |levels| {
            (1..levels).fold(Error::other("0"), |inner, n| Error::of(ErrorKind::Other, n.to_string()).because(inner))
        };
        for (levels, copied) in [(3, 4), (8, 9), (9, 9), (100, 9)] {
            let cause = Cause::of(&chain(levels), &|text| text.to_owned());
            let sources = std::iter::successors(Some(&cause as &(dyn StdError + 'static)), |e| (*e).source());
            assert_eq!(sources.count(), copied, "{levels}");
        }
    }
}
