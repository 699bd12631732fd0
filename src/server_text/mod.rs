//! Text from a server, sanitised: without our secrets and control characters, and cut.

mod echoes;
mod reading;
mod scripts;

use std::sync::OnceLock;

use echoes::{Echoes, Found};
pub(crate) use reading::referenced;
use scripts::of_scripts;
pub(crate) use scripts::{is_mark, is_of_a_script};
use secrecy::{ExposeSecret, SecretString};

/// The secrets of the request, which a server may echo.
pub(crate) struct Masks {
    secrets: Vec<SecretString>,
    /// Made for the first text that is long enough.
    echoes: OnceLock<Echoes>,
}

pub(crate) const MASK: &str = "***";

impl Masks {
    pub(crate) fn new(mut secrets: Vec<SecretString>) -> Self {
        secrets.retain(|secret| !secret.expose_secret().is_empty());
        Masks { secrets, echoes: OnceLock::new() }
    }

    /// These secrets and more.
    pub(crate) fn and<'s>(&self, more: impl IntoIterator<Item = &'s SecretString>) -> Masks {
        Masks::new(self.secrets.iter().cloned().chain(more.into_iter().cloned()).collect())
    }

    /// At most `most` characters of `text`, of those that RFC 6749 section 5.2 allows in an error response (printable
    /// ASCII without `"` and `\`). Of a longer text both ends are kept, since ids for the server's support are at the
    /// end.
    ///
    /// Secrets are masked in the forms that [`Echoes`] knows; of long ones, also a part.
    pub(crate) fn clean(&self, text: &str, most: usize) -> String {
        cut(&masked(text, &self.find(text)), most)
    }

    /// Like [`clean`](Self::clean) for sentences: letters and punctuation of all scripts are kept, since servers write in the
    /// language of their users. If a secret has been masked, or is itself not ASCII (in another encoding it would not be
    /// recognised), only ASCII is.
    pub(crate) fn clean_words(&self, text: &str, most: usize) -> String {
        let found = self.find(text);
        let in_ascii = self.secrets.iter().all(|secret| secret.expose_secret().is_ascii());
        match (in_ascii, &found) {
            (true, Found::Nowhere) => cut(&of_scripts(text), most),
            _ => cut(&masked(text, &found), most),
        }
    }

    /// Whether `text` has one of the secrets.
    pub(crate) fn hide(&self, text: &str) -> bool {
        !matches!(self.find(text), Found::Nowhere)
    }

    fn find(&self, text: &str) -> Found {
        match self.secrets.is_empty() || text.is_empty() {
            true => Found::Nowhere,
            false => self.echoes.get_or_init(|| Echoes::of(&self.secrets)).find(text),
        }
    }
}

fn masked(text: &str, found: &Found) -> String {
    let places = match found {
        Found::Nowhere => return fit(text),
        Found::Everywhere => return MASK.to_owned(),
        Found::At(places) => places,
    };
    let mut shown = String::with_capacity(text.len());
    let mut rest = 0;
    for place in places {
        shown.push_str(&fit(text.get(rest..place.start).unwrap_or_default()));
        shown.push_str(MASK);
        rest = place.end;
    }
    shown + &fit(text.get(rest..).unwrap_or_default())
}

/// At most 256 characters of a text that has no secret of ours.
pub(crate) fn shown(text: &str) -> String {
    Masks::new(Vec::new()).clean(text, 256)
}

fn fit(text: &str) -> String {
    text.chars().filter(|c| allowed(*c)).collect()
}

fn allowed(c: char) -> bool {
    matches!(c, ' '..='~') && c != '"' && c != '\\'
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
        let masks = self::masks(&["\"Zq8wk7Lp3\" + 1x9Vt", "Zq8wk7Lp3-and-more"]);
        for (text, shown) in [
            ("got %22Zq8wk7Lp3%22+%2B+1x9Vt, %22zq8WK7lp3%22%2b1X9vT.", "got ***, ***."),
            ("Zq8wk7Lp3-and-more&#34;Zq8wk7Lp3&quot; + 1x9Vt", "***"),
            ("(%22%22Zq8wk7Lp3-and-more%22)", "(***)"),
            ("1x9Vt", "1x9Vt"),
        ] {
            assert_eq!(masks.clean(text, 256), shown, "{text}");
        }
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
    fn a_mask_covers_the_secret_with_its_encoded_edges_and_nothing_else() {
        for (secrets, text, shown) in [
            (&["hush"][..], "hush", "***"),
            (&["hush-hush-8"], "a%41hush-hush-8%41b", "a%41***%41b"),
            (&["hush-hush-8"], "(%22hush-hush-8%22)", "(***)"),
            (&["hush-hush-8"], "%22%22%22%22%22%22%22%22hush-hush-8%22%22%22%22%22%22%22%22", "***"),
            (&["hush-hush-8"], "%22%22%22%22%22%22%22%22%22hush-hush-8%22%22%22%22%22%22%22%22%22", "%22***%22"),
            (&["hush-hush-8", "more-hush-9"], "hush-hush-8more-hush-9", "***"),
            (&["hush-hush-8", "more-hush-9"], "more-hush-9 hush-hush-8", "*** ***"),
            // Short ones, which stand alone, or are encoded; or do not.
            (&["a/b"], "xa%2Fby", "***"),
            (&["ab"], "x\"ab\"y", "xaby"),
            (&["abc"], "error: 616263", "error: 616263"),
            (&["\u{e9}\u{e0}\u{fc}"], "no: \u{e9}\u{e0}\u{fc}!", "no: !"),
            // Its meaning is a word.
            (&["%41%42%43%44%45"], "the abcde of it", "the abcde of it"),
            (&["%41%42%43%44%45"], "got %41%42%43%44%45", "got ***"),
            // A part of it in base64 that is as short as a word.
            (&["hush"], "trace h1c2", "trace h1c2"),
        ] {
            assert_eq!(masks(secrets).clean(text, 256), shown, "{text}");
        }
    }

    #[test]
    fn words_of_any_language_are_kept_and_secrets_are_not() {
        // FB2
        for (secret, text, shown) in [
            ("hush-hush-8", "клиент не найден: Schlüssel", "клиент не найден: Schlüssel"),
            ("hush-hush-8", "認証に失敗しました。", "認証に失敗しました。"),
            ("hush-hush-8", "le \u{ab}client\u{bb}\u{202e}\u{200b}\u{7}\u{2028}", "le \u{ab}client\u{bb}"),
            (
                "hush-hush-8",
                "\u{a1}no! \u{bf}qu\u{e9}? \u{2010}\u{2027}\u{3001}\u{3011}\u{ff01}\u{ff20}",
                "\u{a1}no! \u{bf}qu\u{e9}? \u{2010}\u{2027}\u{3001}\u{3011}\u{ff01}\u{ff20}",
            ),
            ("hush-hush-8", "\u{a2}\u{200f}\u{2028}\u{3000}\u{3012}\u{ff00}\u{ffe5}", ""),
            // The letters and marks inside are dropped before it is looked for.
            ("hush-hush-8", "got h\u{301}u\u{94d}sh-\u{e49}hush-8\u{301} ก่อน", "got *** "),
            ("sec\u{e49}r\u{301}et-1", "got secret-1 and se\u{301}c\u{e49}r\u{301}et-1", "got *** and ***"),
            ("hush-hush-8", "über hush-é\u{301}hush-8", "ber ***"),
            ("пароль", "пароль неверен", "***"),
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
        let cut = cut(&format!("{}{}", "a".repeat(100), "b".repeat(100)), 104);
        assert_eq!(cut, format!("{} .. {}", "a".repeat(40), "b".repeat(60)), "an id is at the end");
        assert_eq!(shown(&text.repeat(2)).len(), 256);
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
