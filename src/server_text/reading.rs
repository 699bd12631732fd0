//! A text as its characters, with the escapes in it decoded step by step: those of URLs, HTML, XML, JSON and C.

use zeroize::{DefaultIsZeroes, Zeroizing};

/// A character, and its place in the text as it was sent.
#[derive(Clone, Copy, Default)]
pub(super) struct Character {
    pub(super) c: char,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl DefaultIsZeroes for Character {}

impl Character {
    /// Whether the text has an escape for it.
    pub(super) fn is_decoded(&self) -> bool {
        self.end - self.start > self.c.len_utf8()
    }
}

/// Wiped when dropped, since the text may have a secret.
pub(super) type Characters = Zeroizing<Vec<Character>>;

pub(super) fn characters(text: &str) -> Characters {
    let characters = text.char_indices().map(|(start, c)| Character { c, start, end: start + c.len_utf8() });
    // Growing would leave copies in memory.
    let mut all = Zeroizing::new(Vec::with_capacity(text.len()));
    all.extend(characters);
    all
}

/// The characters with each escape replaced by what it stands for; `None` if there is none.
///
/// `u0041` counts as one if there is no other: of `%25u0041` the rest is an escape, once its `%` has been read.
pub(super) fn decoded(text: &[Character]) -> Option<Characters> {
    read(text, false).or_else(|| read(text, true))
}

/// `is_bare`: where the backslash has been read as that of a quoted string, only the rest of `\u0041` is left.
fn read(text: &[Character], is_bare: bool) -> Option<Characters> {
    if !text.iter().any(|one| matches!(one.c, '%' | '&' | '\\' | 'u')) {
        return None;
    }
    let mut read = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some(first) = rest.first() {
        let (c, length) = escape(rest, is_bare).unwrap_or((first.c, 1));
        let end = rest.get(length - 1).map_or(first.end, |last| last.end);
        read.push(Character { c, start: first.start, end });
        rest = rest.get(length..).unwrap_or_default();
    }
    (read.len() < text.len()).then_some(read)
}

/// What `text` begins with, if it is an escape, and the escape's length.
fn escape(text: &[Character], is_bare: bool) -> Option<(char, usize)> {
    let next = text.get(1)?.c;
    match text.first()?.c {
        '%' if next == 'u' => unit(text, 2).and_then(|(unit, length)| Some((char::from_u32(unit)?, length))),
        '%' => percent(text),
        '&' => reference(text),
        'u' if is_bare => utf16(text, 1),
        '\\' => match next {
            'u' => utf16(text, 2).or_else(|| braced(text)).or(Some((next, 2))),
            'x' => number(text.get(2..4)?, 16).and_then(char::from_u32).map(|c| (c, 4)).or(Some((next, 2))),
            'n' | 'r' | 't' | 'b' | 'f' | '0' => Some(('\n', 2)),
            other => Some((other, 2)),
        },
        _ => None,
    }
}

/// RFC 3986 section 2.1, of UTF-8; another byte is read as Latin-1.
fn percent(text: &[Character]) -> Option<(char, usize)> {
    let byte = |n: usize| {
        let at = text.get(3 * n..3 * n + 3).filter(|at| at.first().is_some_and(|one| one.c == '%'))?;
        u8::try_from(number(at.get(1..)?, 16)?).ok()
    };
    let first = byte(0)?;
    let length = match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
        _ => return Some((char::from(first), 3)),
    };
    let mut bytes = [0; 4];
    let whole = (0..length).try_for_each(|n| {
        *bytes.get_mut(n)? = byte(n)?;
        Some(())
    });
    let c = whole.and_then(|()| std::str::from_utf8(bytes.get(..length)?).ok()?.chars().next());
    Some(c.map_or((char::from(first), 3), |c| (c, 3 * length)))
}

/// RFC 8259 section 7. `before`: the characters before the digits.
fn utf16(text: &[Character], before: usize) -> Option<(char, usize)> {
    let (first, length) = unit(text, before)?;
    if let Some(c) = char::from_u32(first) {
        return Some((c, length));
    }
    let rest = text.get(length..)?;
    let is_like_the_first = rest.iter().zip(text).take(before).all(|(one, other)| one.c == other.c);
    let (second, more) = unit(rest, before).filter(|_| is_like_the_first)?;
    let units = [u16::try_from(first).ok()?, u16::try_from(second).ok()?];
    char::decode_utf16(units).next()?.ok().map(|c| (c, length + more))
}

/// `\u{5a}` of Rust and JavaScript.
fn braced(text: &[Character]) -> Option<(char, usize)> {
    /// `10ffff` has 6.
    const LONGEST: usize = 6;
    let digits = text.get(3..).filter(|_| text.get(2).is_some_and(|one| one.c == '{'))?;
    let length = digits.iter().take(LONGEST + 1).position(|one| one.c == '}').filter(|length| *length > 0)?;
    Some((char::from_u32(number(digits.get(..length)?, 16)?)?, length + 4))
}

fn unit(text: &[Character], before: usize) -> Option<(u32, usize)> {
    Some((number(text.get(before..before + 4)?, 16)?, before + 4))
}

/// HTML section 13.5, XML section 4.1. The semicolon of a number may be absent.
fn reference(text: &[Character]) -> Option<(char, usize)> {
    /// `#x10ffff` has 8; some servers write leading zeros.
    const LONGEST: usize = 12;
    let rest = text.get(1..)?;
    let end = rest.iter().take(LONGEST).position(|one| !one.c.is_ascii_alphanumeric() && one.c != '#');
    let name: String = rest.iter().take(end.unwrap_or(LONGEST)).map(|one| one.c).collect();
    let is_closed = end.and_then(|end| rest.get(end)).is_some_and(|one| one.c == ';');
    if is_closed {
        let c = referenced(&name).or_else(|| is_name(&name).then_some(char::REPLACEMENT_CHARACTER))?;
        return Some((c, name.len() + 2));
    }
    let digits = name.strip_prefix('#').filter(|digits| !digits.starts_with(['x', 'X']))?;
    let digits = digits.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((char::from_u32(digits.parse().ok()?)?, digits.len() + 2))
}

fn is_name(name: &str) -> bool {
    name.len() > 1 && name.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// The character that a reference names, of those that error messages have.
pub(crate) fn referenced(name: &str) -> Option<char> {
    match name {
        "nbsp" => Some(' '),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "amp" => Some('&'),
        _ => {
            let number = name.strip_prefix('#')?;
            let hex = number.strip_prefix(['x', 'X']);
            char::from_u32(hex.map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16)).ok()?)
        }
    }
}

fn number(digits: &[Character], radix: u32) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| number.checked_mul(radix)?.checked_add(digit.c.to_digit(radix)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_urls_html_and_json_are_decoded_one_level_at_a_time() {
        for (text, read) in [
            ("a%2Fb%2f%C3%A9%E9%u0041%zz%4", "a/b/\u{e9}\u{e9}A%zz%4"),
            ("%25%41%25u0041&amp;#65;&amp;amp;", "%A%u0041&#65;&amp;"),
            ("&#65;&#x42;&#0000067&#68 &lt;&quot;&nbsp;&shy;&x &;&#; &#xzz;", "ABCD <\" \u{fffd}&x &;&#; &#xzz;"),
            ("\\u0041\\x42\\/\\\"\\\\u0041\\n u0041", "AB/\"\\u0041\n u0041"),
            ("\\ud83d\\ude00\\ud83d\\n \\uzz unused u00", "\u{1f600}ud83d\n uzz unused u00"),
            ("\\x41B\\xzz\\n\\r\\t\\b\\f\\0\\q\\x4", "ABxzz\n\n\n\n\n\nq\\x4"),
            (
                "%u00e9%uzzzz%F0%9F%98%80%E2%82%AC%E2%82x%C3%FF%C3x",
                "\u{e9}%uzzzz\u{1f600}\u{20ac}\u{e2}\u{82}x\u{c3}\u{ff}\u{c3}x",
            ),
            ("\\u{41}\\u{1f600}\\u{}\\u{110000}\\u{41", "A\u{1f600}u{}u{110000}u{41"),
            ("\\u{9}\\u{10fffd}\\u{0000041}\\u(41}", "\t\u{10fffd}u{0000041}u(41}"),
            ("%C3xA9\\ud83d%ude00", "\u{c3}xA9ud83d%ude00"),
            ("&apos;&lt&gt;&#0065 &#x41 &#1114112;", "'&lt>A &#x41 &#1114112;"),
            ("&a;&ab;&a1;&abcdefghijk;&abcdefghijkl;", "&a;\u{fffd}&a1;\u{fffd}&abcdefghijkl;"),
            ("&#0000000065;&#00000000065;", "AA;"),
            ("\\ud83dude00 \\ud83d\\u0041", "ud83dude00 ud83dA"),
            ("ud83dude00 u0025u0041 u00 %zz", "\u{1f600} %A u00 %zz"),
            // The rest of what begins here is read the next time.
            ("%5Cu0041%2525u0041&#37;u0041&amp;#37;u0041u0041", "\\u0041%25u0041%u0041&#37;u0041u0041"),
        ] {
            let decoded = decoded(&characters(text)).unwrap();
            assert_eq!(decoded.iter().map(|one| one.c).collect::<String>(), read, "{text}");
            let places = decoded.iter().map(|one| (one.start, one.end));
            let ends: Vec<_> = places.clone().map(|(_, end)| end).collect();
            assert!(places.map(|(start, _)| start).eq([0].into_iter().chain(ends).take(decoded.len())), "{text}");
        }
        for text in ["", "no escape", "100 % & up\\", "unused"] {
            assert!(decoded(&characters(text)).is_none(), "{text}");
        }
    }
}
