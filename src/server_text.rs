//! Text that a server sent, made fit to be shown: without our secrets, without control characters, cut.

use secrecy::{ExposeSecret, SecretString};

/// The secrets of the request, which a server may echo.
pub(crate) struct Masks(Vec<SecretString>);

const MASK: &str = "***";

impl Masks {
    pub(crate) fn new(mut secrets: Vec<SecretString>) -> Self {
        secrets.retain(|secret| !secret.expose_secret().is_empty());
        // Longest first, so that no part of a longer one remains.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        Masks(secrets)
    }

    /// These, and another one.
    pub(crate) fn and(&self, secret: &SecretString) -> Masks {
        Masks::new(self.0.iter().chain([secret]).cloned().collect())
    }

    /// At most `most` characters of `text`, of those that RFC 6749 section 5.2 allows in an error response (printable
    /// ASCII without `"` and `\`).
    pub(crate) fn clean(&self, text: &str, most: usize) -> String {
        // Filtered first: what is dropped may have stood inside an echoed secret. The secrets are filtered alike, since
        // it may be a part of one.
        let fit = |text: &str| -> String { text.chars().filter(|c| allowed(*c)).collect() };
        let mut shown = fit(text);
        for secret in &self.0 {
            let secret = zeroize::Zeroizing::new(fit(secret.expose_secret()));
            if !secret.is_empty() {
                shown = shown.replace(&**secret, MASK);
            }
        }
        shown.chars().take(most).collect()
    }
}

fn allowed(c: char) -> bool {
    matches!(c, ' '..='~') && c != '"' && c != '\\'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masks(secrets: &[&str]) -> Masks {
        Masks::new(secrets.iter().map(|secret| SecretString::from(*secret)).collect())
    }

    #[test]
    fn control_characters_and_escapes_do_not_reach_a_terminal() {
        // S20
        let text = "bad\u{1b}[31m client\r\nX: \u{202e}evil \"quoted\\\"";
        assert_eq!(masks(&[]).clean(text, 256), "bad[31m clientX: evil quoted");
    }

    #[test]
    fn an_echoed_secret_is_masked_even_in_pieces() {
        let masks = masks(&["hush-hush", "hush"]);
        assert_eq!(masks.clean("got hush-hush", 256), "got ***");
        assert_eq!(masks.clean("got hush-\u{0}hush", 256), "got ***");
        assert_eq!(masks.clean("xxhush-hush", 8), "xx***", "masked before it is cut");
    }

    proptest! {
        #[test]
        fn no_secret_and_nothing_unprintable_gets_through(
            before in ".{0,40}", after in ".{0,40}", secret in "[a-zA-Z0-9\"\\\\é€+/]{4,20}", most in 0..300_usize,
        ) {
            let shown = masks(&[&secret]).clean(&format!("{before}{secret}{after}"), most);
            prop_assert!(shown.chars().count() <= most);
            prop_assert!(!shown.contains(&secret));
            prop_assert!(shown.chars().all(allowed));
        }
    }
}
