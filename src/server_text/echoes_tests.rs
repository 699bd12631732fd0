//! In which shapes a secret is found, and where none is.

use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

type Shape = (&'static str, fn(&str) -> String);

fn each_byte(text: &str, show: impl Fn(u8) -> String) -> String {
    text.bytes().map(show).collect()
}

fn each_unit(text: &str, show: impl Fn(u16) -> String) -> String {
    text.encode_utf16().map(show).collect()
}

/// What escapes all of a text.
const ESCAPES: &[Shape] = &[
    ("nothing", |text| text.to_owned()),
    ("percent", |text| each_byte(text, |byte| format!("%{byte:02X}"))),
    ("percent, lower case", |text| each_byte(text, |byte| format!("%{byte:02x}"))),
    ("percent of JavaScript", |text| each_unit(text, |unit| format!("%u{unit:04x}"))),
    ("form", |text| form_urlencoded::byte_serialize(text.as_bytes()).collect()),
    ("hexadecimal references", |text| text.chars().map(|c| format!("&#x{:X};", u32::from(c))).collect()),
    ("decimal references", |text| text.chars().map(|c| format!("&#{};", u32::from(c))).collect()),
    ("decimal references with zeros", |text| text.chars().map(|c| format!("&#{:07};", u32::from(c))).collect()),
    ("references without semicolons", |text| text.chars().map(|c| format!("&#{}", u32::from(c))).collect()),
    ("HTML", |text| text.replace('&', "&amp;").replace('<', "&lt;").replace('/', "&#x2F;").replace('\'', "&#39;")),
    ("JSON", |text| each_unit(text, |unit| format!("\\u{unit:04x}"))),
    ("JSON, upper case", |text| each_unit(text, |unit| format!("\\u{unit:04X}"))),
    ("JSON without backslashes", |text| each_unit(text, |unit| format!("u{unit:04x}"))),
    ("backslashes", |text| text.replace('\\', "\\\\").replace('/', "\\/").replace('"', "\\\"")),
    ("escapes of C", |text| each_byte(text, |byte| format!("\\x{byte:02x}"))),
    ("escapes of Rust", |text| text.chars().map(|c| format!("\\u{{{:x}}}", u32::from(c))).collect()),
    ("a line break", |text| halves(text).join("\r\n\t")),
    ("no width", |text| halves(text).join("\u{200b}\u{feff}")),
    ("NUL", |text| halves(text).join("\0")),
    ("percent of JavaScript, in HTML", |text| each_unit(text, |unit| format!("&#x25;u{unit:04x}"))),
];

/// What is put into a text, and may be escaped then.
const BREAKS: &[Shape] = &[
    ("an escaped line break", |text| halves(text).join("\\n")),
    ("an encoded line break", |text| halves(text).join("%0D%0A")),
    ("references of no width", |text| halves(text).join("&#8203;&shy;")),
];

/// What a secret may have become before.
const FORMS: &[Shape] = &[
    ("the secret", |secret| secret.to_owned()),
    ("hexadecimal", |secret| each_byte(secret, |byte| format!("{byte:02x}"))),
    ("hexadecimal, upper case", |secret| each_byte(secret, |byte| format!("{byte:02X}"))),
    ("hexadecimal with colons", |secret| each_byte(secret, |byte| format!("{byte:02x}:"))),
    ("hexadecimal with prefixes", |secret| each_byte(secret, |byte| format!("0x{byte:02X}, "))),
    ("quoted-printable", |secret| each_byte(secret, |byte| format!("={byte:02X}"))),
    ("a list of bytes", |secret| format!("{:?}", secret.as_bytes())),
    ("bytes with blanks", |secret| each_byte(secret, |byte| format!("{byte} "))),
    ("upper case", |secret| secret.to_ascii_uppercase()),
    ("lower case", |secret| secret.to_ascii_lowercase()),
    ("the other case", |secret| {
        let other = |c: char| if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
        secret.chars().map(other).collect()
    }),
    ("blanks", |secret| secret.chars().flat_map(|c| [c, ' ']).collect()),
    ("base64", |secret| STANDARD.encode(secret)),
    ("base64url", |secret| URL_SAFE.encode(secret)),
    ("base64 after an id", |secret| STANDARD.encode(format!("billing:{secret}"))),
    ("base64 after an id of another length", |secret| STANDARD.encode(format!("bill:{secret}"))),
    ("base64 of a longer text", |secret| STANDARD.encode(format!("id:{secret}, and more"))),
    ("base64 of a part", |secret| STANDARD.encode(secret.split_at(secret.len().min(1)).1)),
    ("a part of base64", |secret| STANDARD.encode(format!("id:{secret}")).split_off(5)),
];

fn halves(text: &str) -> [&str; 2] {
    let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
    text.split_at(middle).into()
}

fn echoes(secrets: &[&str]) -> Echoes {
    Echoes::of(&secrets.iter().map(|secret| SecretString::from(*secret)).collect::<Vec<_>>())
}

fn is_found(echoes: &Echoes, text: &str) -> bool {
    !matches!(echoes.find(text), Found::Nowhere)
}

#[test]
fn a_secret_is_found_in_each_shape_in_which_servers_send_it_back() {
    // L12
    for secret in [
        "Zq8-wk7_Lp3~x9Vt.R2m",
        "9xQk/2+Lw8==aB&<c'd\"",
        "7fK2m9QxL4",
        "correct horse Battery %41 staple",
        "3f9c1f0e-5b7a-4c1d-9e2f-8a6b5c4d3e2f",
        "P\u{e4}sswort-f\u{fc}r-Abc1",
    ] {
        let echoes = echoes(&[secret]);
        for (form, made) in FORMS {
            for (escape, escaped) in ESCAPES.iter().chain(BREAKS) {
                let shape = escaped(&made(secret));
                for text in [format!("Your {shape} is wrong."), format!("ab{shape}"), shape.clone()] {
                    assert!(is_found(&echoes, &text), "{form}, {escape}: {text}");
                }
                for (second, twice) in ESCAPES.iter().step_by(2) {
                    let text = twice(&shape);
                    assert!(is_found(&echoes, &text), "{form}, {escape}, {second}: {text}");
                }
            }
        }
    }
}

#[test]
fn a_short_secret_is_found_in_base64_and_hexadecimal_digits() {
    for secret in [
        "hush",
        "a/b+c",
        "client",
        "pass_word",
        "\u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}",
        "\u{5bc6}\u{7801}\u{5bc6}\u{7801}",
    ] {
        for (form, made) in FORMS.iter().filter(|(form, _)| form.starts_with("base64") || form.starts_with("hexa")) {
            if !form.ends_with("part") {
                let found = echoes(&[secret]).find(&format!("got {}", made(secret)));
                assert!(matches!(found, Found::Everywhere), "{secret}: {form}");
            }
        }
    }
}

#[test]
fn a_secret_can_be_guessed_if_it_is_short_or_a_word() {
    let lower = |length: usize| "a".repeat(length);
    for (secret, guess) in [
        ("abc", Guess::Trivial),
        ("Ab1!", Guess::Easy),
        ("Abc12xy", Guess::Easy),
        ("Abc12xyz", Guess::Hard),
        (&*lower(8), Guess::Easy),
        ("pass_word", Guess::Easy),
        (&*lower(15), Guess::Easy),
        (&*lower(16), Guess::Hard),
    ] {
        assert!(Guess::of(secret) == guess, "{secret}");
    }
    assert!(!is_found(&echoes(&["abc"]), "is 616263"), "any number may be that of a short one");
}

#[test]
fn each_view_has_its_characters() {
    for (view, seen) in [
        (View::Shown, "aGF 5 =~"),
        (View::Folded, "agf5=~"),
        (View::Script, "agf5=~\u{e4}\u{663}i"),
        (View::Base64, "aGF5"),
        (View::Hex, "af5"),
        (View::Digits, "5"),
    ] {
        let text = "aGF 5+=~\u{c4}\u{663}\u{130}\u{200b}";
        assert_eq!(*view.form(text.chars(), 64), seen, "{view:?}");
    }
}

#[test]
fn a_secret_of_other_characters_is_found_whole() {
    let secret = "\u{43a}\u{43b}\u{44e}\u{447}\u{663}\u{664}\u{665}\u{666}\u{667}";
    assert!(is_found(&echoes(&[secret]), &format!("got {secret}")));
    let secret = "d\tce\nZq8-wk7\u{192}d";
    let listed = secret.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    let Found::At(places) = echoes(&[secret]).find(&listed) else { panic!("it is not found") };
    assert_eq!((places.len(), places[0].clone()), (1, 0..listed.len()));
    let hex = "f09f98805a7138776b37";
    let Found::At(places) = echoes(&["\u{1f600}Zq8wk7xy"]).find(&format!("{hex}7879")) else {
        panic!("it is not found")
    };
    assert_eq!((places.len(), places[0].clone()), (1, 0..24));
}

#[test]
fn what_is_invisible_inside_an_escape_does_not_hide_a_secret() {
    assert!(is_found(&echoes(&["Zq8-wk7_Lp3~x9Vt.R2m"]), "%\u{200b}5Aq8-wk7_Lp3~x9Vt"));
    // `\b` would be another escape.
    assert!(is_found(&echoes(&["Zq8-wk7_\"bLp3x9Vt"]), "%5Aq8-wk7_\\\"bLp3x9Vt"));
}

#[test]
fn ordinary_texts_have_no_secret() {
    let texts = [
        "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not \
         the client secret ID, for a secret added to app '3a2b1c0d-1111-2222-3333-444455556666'.",
        "The client credentials are invalid, or the client is not allowed to use this grant (code 1234, retry in 30 s).",
        "https://auth.example.com/realms/demo?error=invalid_client&error_description=no%20such%20client%3A+billing",
        "{\"error\":\"invalid_request\",\"trace\":\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}",
        "Basic realm=\"token\", Bearer error=\"invalid_token\", error_description=\"The access token expired\"",
    ];
    for secret in [
        "x",
        "ok",
        "abc",
        "1",
        "12",
        "xyz!",
        "hush",
        "Secret",
        "CLIENT",
        "PassWord",
        "Invalid Client",
        "INVALID_CLIENT",
        "demo-demo",
        "Billing1",
        "grant1",
        "a b c d",
        "+ + + + + +",
        "((((((((",
        "the-client",
        "Zq8-wk7_Lp3~x9Vt.R2m",
        "wrong horse battery staple",
        "invalid client credentials provided",
        "00000000",
        "eyJhbGciOiJIUzI1NiJ9",
        "InvalidClientSecret1",
        "2024-client-not-allowed-to-use-this-grant-2024",
        "client credentials are invalid 77",
    ] {
        for text in texts {
            assert!(!is_found(&echoes(&[secret]), text), "{secret}: {text}");
        }
    }
}

#[test]
fn the_number_of_encodings_that_are_removed_is_bounded() {
    let echoes = echoes(&["Zq8-wk7_Lp3~x9Vt.R2m"]);
    let encoded = |times: usize| "%".to_owned() + &"25".repeat(times) + "5Aq8-wk7_Lp3~x9Vt";
    for (times, found) in [(0, true), (3, true), (4, false), (40, false)] {
        // A part of 16 characters begins with the first one.
        assert_eq!(is_found(&echoes, &encoded(times)), found, "{times}");
    }
}

#[test]
fn a_part_of_a_secret_is_found_from_sixteen_characters_on() {
    let secret = "Zq8-wk7_Lp3~x9Vt.R2m";
    for (from, to, found) in [(0, 16, true), (4, 20, true), (2, 18, true), (0, 15, false), (5, 20, false)] {
        let text = format!("got {}..", &secret[from..to]);
        assert_eq!(is_found(&echoes(&[secret]), &text), found, "{text}");
    }
    let encoded = STANDARD.encode(secret);
    for (from, to, found) in [(0, 8, true), (5, 13, true), (0, 7, false), (5, 12, false)] {
        let text = format!("got {}..", &encoded[from..to]);
        assert_eq!(is_found(&echoes(&[secret]), &text), found, "{text}");
    }
    // Words are found with a digit near them only, and in the whole.
    let words = "2024-correct-horse-battery-staple-of-the-billing-service-2024";
    for (from, to, found) in [(0, 16, true), (4, 57, false), (4, 58, true), (0, words.len(), true)] {
        let text = format!("got {}..", words[from..to].to_ascii_uppercase());
        assert_eq!(is_found(&echoes(&[words]), &text), found, "{text}");
    }
    let Found::At(places) = echoes(&[words]).find(&words.to_ascii_uppercase()) else { panic!("it is not found") };
    assert_eq!((places.len(), places[0].clone()), (1, 0..words.len()));
}

proptest! {
    #[test]
    fn no_mixture_of_escapes_hides_a_secret(
        secret in "[a-zA-Z0-9~._/+=!$-]{12,40}", form: Index, escapes in prop::collection::vec(any::<(Index, bool)>(), 12..40),
        before in "[ -~]{0,20}", after in "[ -~]{0,20}",
    ) {
        let (form, made) = form.get(FORMS);
        // Each character in another way: all servers of a chain escape what they must, and some more.
        let made = made(&secret);
        let escaped = made.chars().zip(escapes.iter().cycle()).map(|(c, (escape, twice))| {
            let c = c.to_string();
            // One that does not escape all characters does not belong here.
            let single: Vec<_> = ESCAPES[1..12].iter().filter(|(name, _)| !matches!(*name, "form" | "HTML" | "references without semicolons")).collect();
            let (_, escape) = escape.get(&single);
            if *twice { form_urlencoded::byte_serialize(escape(&c).as_bytes()).collect() } else { escape(&c) }
        });
        let text = format!("{before} {} {after}", escaped.collect::<String>());
        prop_assert!(is_found(&echoes(&[&secret]), &text), "{form}: {text}");
    }
}
