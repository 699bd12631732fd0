//! Text from a server, sanitised: without our secrets and control characters, and cut.

use secrecy::{ExposeSecret, SecretString};

/// The secrets of the request, which a server may echo.
pub(crate) struct Masks(Vec<SecretString>);

pub(crate) const MASK: &str = "***";

impl Masks {
    pub(crate) fn new(mut secrets: Vec<SecretString>) -> Self {
        secrets.retain(|secret| !secret.expose_secret().is_empty());
        // Longest first, so that no part of a longer one remains.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        Masks(secrets)
    }

    /// These secrets and another one.
    pub(crate) fn and(&self, secret: &SecretString) -> Masks {
        Masks::new(self.0.iter().chain([secret]).cloned().collect())
    }

    /// At most `most` characters of `text`, of those that RFC 6749 section 5.2 allows in an error response (printable
    /// ASCII without `"` and `\`). Of a longer text both ends are kept, since ids for the server's support are at the
    /// end.
    pub(crate) fn clean(&self, text: &str, most: usize) -> String {
        // Filtered first, since a dropped character may be inside an echoed secret. The secrets are filtered in the
        // same way, since it may be a part of one.
        let mut shown = fit(text);
        for secret in &self.0 {
            let plain = secret.expose_secret();
            let fitting = zeroize::Zeroizing::new(fit(plain));
            let is_there = !fitting.is_empty() && shown.contains(&**fitting);
            match Guess::of(&fitting) {
                Guess::Hard => {
                    if is_there {
                        shown = shown.replace(&**fitting, MASK);
                    }
                    if let Some(masked) = encoded::masked(&shown, plain) {
                        shown = masked;
                    }
                }
                Guess::Easy if is_there || encoded::masked(&shown, plain).is_some() => shown = MASK.to_owned(),
                Guess::Trivial if is_there && stands_alone(&shown, &fitting) => shown = MASK.to_owned(),
                // Of a secret in another script nothing is left but its encoded form.
                Guess::Trivial if encoded::is_in(&shown, plain, &fitting) => shown = MASK.to_owned(),
                Guess::Easy | Guess::Trivial => {}
            }
        }
        cut(&shown, most)
    }

    /// Like [`clean`](Self::clean) for sentences: letters and punctuation of all scripts are kept, since servers write in the
    /// language of their users. If a secret has been masked, or is itself not ASCII (in another encoding it would not be
    /// recognised), only ASCII is.
    pub(crate) fn clean_words(&self, text: &str, most: usize) -> String {
        let in_ascii = self.0.iter().all(|secret| secret.expose_secret().is_ascii()) && !self.hide(text);
        match in_ascii {
            true => cut(&text.chars().filter(|c| allowed(*c) || is_of_a_script(*c)).collect::<String>(), most),
            false => self.clean(text, most),
        }
    }

    /// Whether `text` has one of the secrets.
    pub(crate) fn hide(&self, text: &str) -> bool {
        self.clean(text, usize::MAX) != fit(text)
    }
}

/// At most 256 characters of a text that has no secret of ours.
pub(crate) fn shown(text: &str) -> String {
    Masks::new(Vec::new()).clean(text, 256)
}

/// How a secret is hidden. A mask within a known sentence reveals the secret if it is one of its words.
enum Guess {
    /// It is replaced.
    Hard,
    /// It may be a word, or a part of one: the whole text is replaced.
    Easy,
    /// So short that any text has it: the whole text is replaced if it is a word of its own. Elsewhere a mask would
    /// reveal what the text does not.
    Trivial,
}

impl Guess {
    fn of(secret: &str) -> Self {
        // 8: the shortest minimum length of passwords; 16: longer than the words of error messages.
        match secret.len() {
            0..4 => Guess::Trivial,
            4..8 => Guess::Easy,
            8..16 if secret.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') => Guess::Easy,
            _ => Guess::Hard,
        }
    }
}

/// Secrets in the encodings of forms, URLs and JSON, of which each server has its own mixture: `%2F`, `%2f`, `+` for a space,
/// `\u002f`.
mod encoded {
    use super::{MASK, allowed};

    /// `text` with a mask for each encoded `secret`; `None` if there is none. `text` is [`fit`](super::fit).
    pub(super) fn masked(text: &str, secret: &str) -> Option<String> {
        if !text.contains(['%', '+', 'u']) {
            return None;
        }
        let mut masked = String::new();
        let mut rest = text;
        while let Some((at, left)) =
            rest.char_indices().find_map(|(at, _)| Some((at, without(rest.get(at..)?, secret)?)))
        {
            masked.push_str(rest.get(..at).unwrap_or_default());
            masked.push_str(MASK);
            rest = left;
        }
        (rest.len() < text.len()).then(|| masked + rest)
    }

    /// Whether `text` has the secret in another form than `literal`.
    pub(super) fn is_in(text: &str, secret: &str, literal: &str) -> bool {
        text.contains(['%', '+', 'u'])
            && text.char_indices().any(|(at, _)| {
                let found = text.get(at..).and_then(|from| Some((from, without(from, secret)?)));
                found.is_some_and(|(from, left)| from.strip_suffix(left) != Some(literal))
            })
    }

    /// What follows `secret`, if `text` begins with it.
    fn without<'a>(text: &'a str, secret: &str) -> Option<&'a str> {
        let rest = secret.chars().try_fold(text, |rest, c| {
            let literal = rest.strip_prefix(c).or_else(|| rest.strip_prefix('+').filter(|_| c == ' '));
            // Before the literal, since a percent sign is encoded as `%25`, and a `u` as `\u0075`.
            let found = in_percent(rest, c).or_else(|| in_json(rest, c)).or(literal);
            // The text has lost these characters, where they were literal.
            found.or((!allowed(c)).then_some(rest))
        })?;
        (rest.len() < text.len()).then_some(rest)
    }

    /// RFC 3986 section 2.1, of UTF-8.
    fn in_percent(text: &str, c: char) -> Option<&str> {
        c.encode_utf8(&mut [0; 4]).bytes().try_fold(text, |rest, byte| {
            let rest = rest.strip_prefix('%')?;
            (u8::from_str_radix(rest.get(..2)?, 16) == Ok(byte)).then(|| rest.get(2..))?
        })
    }

    /// RFC 8259 section 7, of UTF-16, without the backslash that the text has lost.
    fn in_json(text: &str, c: char) -> Option<&str> {
        c.encode_utf16(&mut [0; 2]).iter().try_fold(text, |rest, unit| {
            let rest = rest.strip_prefix('u')?;
            (u16::from_str_radix(rest.get(..4)?, 16) == Ok(*unit)).then(|| rest.get(4..))?
        })
    }
}

fn stands_alone(text: &str, word: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
        !letter(before) && !letter(after)
    })
}

fn fit(text: &str) -> String {
    text.chars().filter(|c| allowed(*c)).collect()
}

fn allowed(c: char) -> bool {
    matches!(c, ' '..='~') && c != '"' && c != '\\'
}

/// Letters, digits and punctuation, without controls of direction, joiners and blanks.
pub(crate) fn is_of_a_script(c: char) -> bool {
    !c.is_ascii()
        && (c.is_alphanumeric()
            || matches!(
                c,
                '\u{a1}' | '\u{ab}' | '\u{bb}' | '\u{bf}' | '\u{2010}'..='\u{2027}' | '\u{3001}'..='\u{3011}' | '\u{ff01}'..='\u{ff20}'
            ))
}

/// At most `most` characters, from both ends.
fn cut(text: &str, most: usize) -> String {
    const GAP: &str = " .. ";
    // A shorter tail has no complete id.
    const SHORTEST: usize = 64;
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    if most < SHORTEST {
        return text.chars().take(most).collect();
    }
    let room = most - GAP.len();
    let tail = room / 5 * 3;
    let (head, tail) = (text.chars().take(room - tail), text.chars().skip(length - tail));
    head.chain(GAP.chars()).chain(tail).collect()
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
        let masks = masks(&["hush-hush-8", "hush-hush"]);
        assert_eq!(masks.clean("got hush-hush-8", 256), "got ***");
        assert_eq!(masks.clean("got hush-\u{0}hush", 256), "got ***");
        assert_eq!(masks.clean("xxhush-hush", 8), "xx***", "masked before it is cut");
    }

    #[test]
    fn a_secret_is_masked_in_each_mixture_of_encodings() {
        let long = masks(&["Zq8/+ w=~\"k%é&7", "hush hush"]);
        for echo in [
            "Zq8/+ w=~\"k%é&7",
            "Zq8%2F%2B%20w%3D~%22k%25%C3%A9%267",
            "Zq8%2f%2b+w%3d%7e%22k%25%c3%a9&7",
            "Zq8\\/+ w=~\\\"k%\\u00e9&7",
            "Zq8/\\u002B w\\u003D~\\u0022k%é\\u00267",
        ] {
            assert_eq!(long.clean(&format!("key={echo}, {echo}!"), 256), "key=***, ***!", "{echo}");
            assert!(long.hide(echo), "{echo}");
        }
        assert_eq!(long.clean("hush%20hush, hush+hus", 256), "***, hush+hus");
        assert_eq!(masks(&["a b c"]).clean("your a+b%20c", 256), "***", "it can be guessed");
        for text in ["100 % sure", "unused %", "u00", "%2", "%%%", "+", "uuuu%zz"] {
            assert_eq!(long.clean(text, 256), text);
        }
    }

    #[test]
    fn a_secret_in_another_script_or_of_few_letters_is_masked_when_it_is_encoded() {
        for (secret, text, shown) in [
            ("пароль", "bad secret %D0%BF%D0%B0%D1%80%D0%BE%D0%BB%D1%8C", "***"),
            ("пароль", "bad secret \\u043f\\u0430\\u0440\\u043e\\u043b\\u044c", "***"),
            ("пароль", "unused, 100 % sure", "unused, 100 % sure"),
            ("пароль1", "unused 11", "unused 11"),
            ("a/b", "your a%2Fb", "***"),
            ("a/b", "your a%2Fc", "your a%2Fc"),
            ("hush-hush-8", "got \\u0068\\u0075\\u0073h-hush-8", "got ***"),
        ] {
            assert_eq!(masks(&[secret]).clean(text, 256), shown, "{secret}: {text}");
        }
    }

    #[test]
    fn masking_does_not_reveal_a_secret_that_can_be_guessed() {
        // FB11
        for (secret, text, shown) in [
            ("x", "an unexpected error", "an unexpected error"),
            ("x", "your secret is x.", "***"),
            ("a", "not a client", "***"),
            ("12", "error 1234", "error 1234"),
            ("12", "error 12", "***"),
            ("client", "Invalid clients", "***"),
            ("credentials", "Invalid client credentials", "***"),
            ("client_secret", "client_secret is missing", "***"),
            ("zq81nd7e", "got zq81nd7e here", "got *** here"),
        ] {
            assert_eq!(masks(&[secret]).clean(text, 256), shown, "{secret}");
        }
    }

    #[test]
    fn ids_at_the_end_of_a_text_are_kept() {
        // FB4
        let text = format!("AADSTS7000215: {} Trace ID: 1 Correlation ID: 2 Timestamp: 3", "x".repeat(600));
        let shown = masks(&[]).clean(&text, 200);
        assert!(shown.starts_with("AADSTS7000215: x") && shown.ends_with("Trace ID: 1 Correlation ID: 2 Timestamp: 3"));
        assert_eq!(shown.len(), 200);
        assert_eq!(masks(&[]).clean(&"x".repeat(100), 10), "xxxxxxxxxx");
    }

    #[test]
    fn words_of_any_language_are_kept_and_secrets_are_not() {
        // FB2
        for (secret, text, shown) in [
            ("hush-hush-8", "клиент не найден: Schlüssel", "клиент не найден: Schlüssel"),
            ("hush-hush-8", "認証に失敗しました。", "認証に失敗しました。"),
            ("hush-hush-8", "le \u{ab}client\u{bb}\u{202e}\u{200b}\u{7}\u{2028}", "le \u{ab}client\u{bb}"),
            // The letters inside are dropped before it is looked for.
            ("hush-hush-8", "über hush-é\u{301}hush-8", "ber ***"),
            ("пароль", "пароль неверен", " "),
            ("sécret-No-1", "ein Schlüssel: sÃ©cret-No-1", "ein Schlssel: ***"),
        ] {
            assert_eq!(masks(&[secret]).clean_words(text, 256), shown, "{text}");
        }
        let cut = masks(&[]).clean_words(&"ж".repeat(300), 100);
        assert_eq!((cut.chars().count(), cut.contains(" .. ")), (100, true));
    }

    #[test]
    fn a_long_text_keeps_its_end_where_there_is_room_for_an_id() {
        let text = format!("{}end", "a".repeat(200));
        for (most, has_end) in [(63, false), (64, true), (203, true)] {
            let cut = cut(&text, most);
            assert_eq!((cut.chars().count(), cut.ends_with("end")), (most, has_end), "{cut}");
        }
        assert_eq!(cut(&text, 203), text);
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
            let words = masks(&[&secret]).clean_words(&format!("{before}{secret}{after}"), most);
            prop_assert!(words.chars().count() <= most && !words.contains(&secret));
            prop_assert!(words.chars().all(|c| allowed(c) || is_of_a_script(c)));
        }
    }
}
