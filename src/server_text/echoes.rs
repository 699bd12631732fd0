//! The forms in which a server may send secrets back, and where they are in a text. The time is linear in the length of the text.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::allowed;
use super::reading::{Character, characters, decoded};

/// Where the secrets are in a text.
pub(super) enum Found {
    Nowhere,
    /// At these places, in order.
    At(Vec<Range<usize>>),
    /// The text must not be shown, since a mask would reveal the secret.
    Everywhere,
}

/// The forms of all secrets.
pub(super) struct Echoes {
    forms: Vec<Form>,
    /// Of long forms, the parts, sorted.
    parts: Vec<(View, Parts)>,
    /// No shorter text has any of them.
    shortest: usize,
}

/// Each part as a number, from which it can be computed: wiped when dropped.
type Parts = Zeroizing<Vec<u64>>;

struct Form {
    text: Zeroizing<String>,
    view: View,
    guess: Guess,
}

/// How a secret is hidden. A mask within a known sentence reveals the secret if it is one of its words.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Guess {
    /// It is replaced.
    Hard,
    /// It may be a word, or a part of one: the whole text is replaced.
    Easy,
    /// So short that any text has it: the whole text is replaced if it is a word of its own, or is encoded. Elsewhere a mask
    /// would reveal what the text does not.
    Trivial,
}

impl Guess {
    fn of(secret: &str) -> Self {
        // 8: the shortest minimum length of passwords; 16: longer than the words of error messages.
        match secret.chars().count() {
            0..4 => Guess::Trivial,
            4..8 => Guess::Easy,
            8..16 if secret.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') => Guess::Easy,
            _ => Guess::Hard,
        }
    }
}

/// The characters of a text that are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum View {
    /// Those that are shown. A `+` may be a blank.
    Shown,
    /// The same without case, blanks and line breaks.
    Folded,
    /// The same with letters of other scripts, which may be a whole secret.
    Script,
    /// Letters and digits, which base64 and base64url have in common.
    Base64,
    /// Hexadecimal digits, whatever is between them.
    Hex,
    /// Decimal digits, whatever is between them: a list of bytes.
    Digits,
}

impl View {
    fn of(self, c: char) -> Option<char> {
        match self {
            View::Shown if c == '+' => Some(' '),
            View::Shown => allowed(c).then_some(c),
            View::Folded => View::Shown.of(c).filter(|c| *c != ' ').map(|c| c.to_ascii_lowercase()),
            View::Script if c.is_ascii() => View::Folded.of(c),
            View::Script => c.is_alphanumeric().then(|| c.to_lowercase().next().unwrap_or(c)),
            View::Base64 => c.is_ascii_alphanumeric().then_some(c),
            View::Hex => c.is_ascii_hexdigit().then_some(c.to_ascii_lowercase()),
            View::Digits => c.is_ascii_digit().then_some(c),
        }
    }

    /// How much of a secret is masked. 16: much shorter than a secret that cannot be guessed, and longer than most words. 8, which are
    /// six characters of the secret: hardly a word is base64 of text.
    fn part(self) -> usize {
        if self == View::Base64 { 8 } else { 16 }
    }

    fn form(self, text: impl IntoIterator<Item = char>, room: usize) -> Zeroizing<String> {
        // Growing would leave copies of the secret in memory.
        let mut form = Zeroizing::new(String::with_capacity(room));
        form.extend(text.into_iter().filter_map(|c| self.of(c)));
        form
    }
}

impl Echoes {
    pub(super) fn of(secrets: &[SecretString]) -> Self {
        let mut echoes = Echoes { forms: Vec::new(), parts: Vec::new(), shortest: 0 };
        secrets.iter().for_each(|secret| echoes.add(secret.expose_secret()));
        let parts = echoes.parts.iter().map(|(view, _)| view.part());
        let shortest = echoes.forms.iter().map(|form| form.text.len()).chain(parts).min();
        echoes.shortest = shortest.unwrap_or_default();
        echoes.parts.iter_mut().for_each(|(_, parts)| parts.sort_unstable());
        echoes
    }

    fn add(&mut self, secret: &str) {
        let room = 4 * secret.len();
        let shown = View::Shown.form(secret.chars(), room);
        let guess = Guess::of(&shown);
        if guess == Guess::Hard {
            let folded = View::Folded.form(secret.chars(), room);
            // Without its case and its blanks it may be a word.
            if Guess::of(&folded) == Guess::Hard {
                self.add_form(folded, View::Folded, guess);
            }
        }
        // An escape in the secret itself is decoded together with those of the server.
        let read = decoded(&characters(secret));
        let read = read.iter().map(|read| View::Folded.form(read.iter().map(|one| one.c), room));
        read.filter(|read| Guess::of(read) == Guess::Hard).for_each(|read| self.add_form(read, View::Folded, guess));
        if !secret.is_ascii() {
            let script = View::Script.form(secret.chars(), room);
            match Guess::of(&script) {
                Guess::Trivial => {}
                guess => self.add_form(script, View::Script, guess),
            }
        }
        // In these forms all characters count, whatever their script.
        let encoded = if secret.is_ascii() { guess } else { Guess::of(secret) };
        if encoded != Guess::Trivial {
            let digit = |digit: u8, radix| char::from_digit(digit.into(), radix).unwrap_or_default();
            let hex = |byte: u8| [digit(byte >> 4, 16), digit(byte & 15, 16)];
            self.add_form(View::Hex.form(secret.bytes().flat_map(hex), room), View::Hex, encoded);
            // Of `0x5a, 0x71` the zeros are left.
            let prefixed = secret.bytes().flat_map(|byte| ['0'].into_iter().chain(hex(byte)));
            self.add_form(View::Hex.form(prefixed, room), View::Hex, encoded);
            let decimal = |byte: u8| [byte / 100, byte / 10 % 10, byte % 10].map(|one| digit(one, 10));
            let decimal =
                |byte: u8| decimal(byte).into_iter().skip(if byte < 10 { 2 } else { usize::from(byte < 100) });
            self.add_form(View::Digits.form(secret.bytes().flat_map(decimal), room), View::Digits, encoded);
            (0..3).for_each(|before| self.add_form(in_base64(secret, before), View::Base64, encoded));
        }
        if !shown.is_empty() {
            self.forms.push(Form { text: shown, view: View::Shown, guess });
        }
    }

    fn add_form(&mut self, text: Zeroizing<String>, view: View, guess: Guess) {
        /// Shorter ones are in any text.
        const SHORTEST: usize = 5;
        if guess == Guess::Hard && text.len() >= view.part() {
            // Words of it may be in another text.
            let is_telling = |part: &&[u8]| view == View::Base64 || part.iter().any(u8::is_ascii_digit);
            let parts = text.as_bytes().windows(view.part()).filter(is_telling).map(part);
            match self.parts.iter_mut().find(|(one, _)| *one == view) {
                Some((_, all)) => *all = joined(all, parts, text.len()),
                None => self.parts.push((view, joined(&[], parts, text.len()))),
            }
            if view == View::Base64 {
                return;
            }
        }
        if text.len() >= SHORTEST {
            self.forms.push(Form { text, view, guess });
        }
    }

    pub(super) fn find(&self, text: &str) -> Found {
        /// Four are more than any chain of servers and proxies applies.
        const ENCODINGS: usize = 4;
        if text.len() < self.shortest {
            return Found::Nowhere;
        }
        let mut spans = Vec::new();
        let mut read = characters(text);
        // No view has these, and they may be inside an escape.
        read.retain(|one| allowed(one.c) || matches!(one.c, '"' | '\\') || one.c.is_alphanumeric());
        for _ in 0..=ENCODINGS {
            for view in [View::Shown, View::Folded, View::Script, View::Base64, View::Hex, View::Digits] {
                if self.search(&read, view, &mut spans) {
                    return Found::Everywhere;
                }
            }
            match decoded(&read) {
                Some(next) => read = next,
                None => break,
            }
        }
        match spans.is_empty() {
            true => Found::Nowhere,
            false => Found::At(merged(spans)),
        }
    }

    /// Adds the places of secrets; returns whether one must not be masked alone.
    fn search(&self, text: &[Character], view: View, spans: &mut Vec<Range<usize>>) -> bool {
        let mut forms = self.forms.iter().filter(|form| form.view == view).peekable();
        let parts = self.parts.iter().find(|(one, _)| *one == view);
        if forms.peek().is_none() && parts.is_none() {
            return false;
        }
        let mut seen = Zeroizing::new(String::with_capacity(2 * text.len()));
        // The place of each byte.
        let mut at = Vec::with_capacity(2 * text.len());
        for (n, one) in text.iter().enumerate() {
            let Some(c) = view.of(one.c) else { continue };
            seen.push(c);
            at.resize(seen.len(), n);
        }
        let place = |start: usize, length: usize| {
            let (first, last) = (*at.get(start)?, *at.get(start + length - 1)?);
            Some(around(text, first, last))
        };
        for form in forms {
            for (start, found) in seen.match_indices(&**form.text) {
                let place = place(start, found.len());
                let shows = match form.guess {
                    Guess::Hard => false,
                    Guess::Easy => true,
                    Guess::Trivial => {
                        stands_alone(&seen, start, found)
                            || place.as_ref().is_some_and(|place| place.len() > found.len())
                    }
                };
                match form.guess {
                    Guess::Hard => spans.extend(place),
                    _ if shows => return true,
                    _ => {}
                }
            }
        }
        if let Some((_, parts)) = parts {
            let windows = seen.as_bytes().windows(view.part()).enumerate();
            let found = windows.filter(|(_, window)| parts.binary_search(&part(window)).is_ok());
            spans.extend(found.filter_map(|(start, _)| place(start, view.part())));
        }
        false
    }
}

/// What all texts have in common that contain `secret`, in base64: those in which it begins after this many bytes, modulo 3.
fn in_base64(secret: &str, before: usize) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(before + secret.len()));
    bytes.resize(before, 0);
    bytes.extend_from_slice(secret.as_bytes());
    let mut encoded = Zeroizing::new(String::with_capacity(2 * bytes.len() + 4));
    STANDARD_NO_PAD.encode_string(&*bytes, &mut encoded);
    // A character has six bits: those at both ends depend on what is next to the secret.
    let (first, end) = ((8 * before).div_ceil(6), 8 * bytes.len() / 6);
    View::Base64.form(encoded.get(first..end).unwrap_or_default().chars(), encoded.len())
}

/// These, and at most `most` more.
fn joined(parts: &[u64], more: impl Iterator<Item = u64>, most: usize) -> Parts {
    // Growing would leave copies in memory.
    let mut all = Zeroizing::new(Vec::with_capacity(parts.len() + most));
    all.extend_from_slice(parts);
    all.extend(more);
    all
}

/// A hash of at most 16 bytes.
fn part(window: &[u8]) -> u64 {
    let bytes = window.iter().fold(0_u128, |bytes, byte| bytes << 8 | u128::from(*byte));
    // The golden ratio: the middle of the product depends on all bytes.
    let product = bytes.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let (low, high) = (product as u64, (product >> 64) as u64);
    high ^ low.rotate_left(32)
}

/// The place of these characters in the original text, with the escapes next to them of characters that are not shown.
fn around(text: &[Character], first: usize, last: usize) -> Range<usize> {
    let is_hidden = |one: &&Character| !allowed(one.c) && one.is_decoded();
    let before = text.get(..first).and_then(|before| before.iter().rev().take(EDGE).take_while(is_hidden).last());
    let after = text.get(last + 1..).and_then(|after| after.iter().take(EDGE).take_while(is_hidden).last());
    let start = before.or(text.get(first)).map_or(0, |one| one.start);
    let end = after.or(text.get(last)).map_or(start, |one| one.end);
    start..end
}

/// A secret has few such characters at its ends.
const EDGE: usize = 8;

fn merged(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_unstable_by_key(|span| span.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

fn stands_alone(text: &str, start: usize, word: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let before = text.get(..start).and_then(|before| before.chars().next_back());
    let after = text.get(start + word.len()..).and_then(|after| after.chars().next());
    !letter(before) && !letter(after)
}

#[cfg(test)]
#[path = "echoes_tests.rs"]
mod tests;
