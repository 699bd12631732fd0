//! What holds for any bytes that a server, an API or a file may hand us: one oracle for each parser.
//!
//! `cargo test` runs them over `tests/seeds` and over what proptest draws, `cargo fuzz` (`.ci/fuzz`) over what it finds.
//! An oracle panics if its parser breaks a promise; that the parser itself does not panic is the first of them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "in a test a panic is the report; the fuzzer sees these functions from outside"
)]

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use crate::cache::clock::Moment;
use crate::exchange::Response;
use crate::grant::response::{Rules, decode, retry_after};
use crate::grant::{Masks, foreign_encoding};
use crate::metadata::document;
use crate::token::Holder;
use crate::{AccessToken, Error};

/// What the server knows of us, and may echo.
const SECRET: &str = "our-secret";

/// A response of the token endpoint, as it stands on the wire (without chunks).
pub fn token_response(wire: &[u8]) {
    let decoded = |cut: usize, strict: bool| {
        let mut response = response(wire);
        let rest = response.body.len().saturating_sub(cut);
        response.body.truncate(rest);
        let rules = Rules {
            strict,
            ..Rules::default()
        };
        let masks = Masks::new(vec![SECRET.into()]);
        decode(response, &rules, &masks, Holder::default(), now(), now())
    };
    let lenient = decoded(0, false);
    match (&lenient, decoded(0, true)) {
        (Ok(token), Ok(strict)) => {
            assert!(token.same_value(&strict) && token.lifetime() == strict.lifetime())
        }
        (Err(_), Ok(_)) => panic!("strict is laxer"),
        (_, Err(error)) => fit_to_be_shown(&error),
    }
    match lenient {
        Ok(token) => {
            let sent = response(wire);
            assert!(sent.status.is_success() && foreign_encoding(&sent.headers).is_none());
            fit_for_a_header(&token);
            // Whatever ends in the middle is no token; white space at the end says nothing.
            let cut = sent.body.len() - sent.body.trim_ascii_end().len() + 1;
            assert!(decoded(cut, false).is_err(), "cut, and a token");
        }
        Err(error) => fit_to_be_shown(&error),
    }
}

/// The values of `WWW-Authenticate`, one a line.
pub fn www_authenticate(lines: &[u8]) {
    use crate::challenge::{Challenge, MOST_CHALLENGES, MOST_PARAMS, parse};

    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append("www-authenticate", value);
        }
    }
    let challenges = Challenge::all(&headers);
    assert!(challenges.len() <= MOST_CHALLENGES);
    assert!(challenges.iter().all(|one| one.params.len() <= MOST_PARAMS));
    // Written down in full and read again they are the same.
    let quoted = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"");
    let written: Vec<_> = challenges
        .iter()
        .map(|one| {
            let params: Vec<_> = one
                .params
                .iter()
                .map(|(name, value)| format!("{name}=\"{}\"", quoted(value)))
                .collect();
            format!("{} {}", one.scheme, params.join(", "))
        })
        .collect();
    let written = written.join(", ");
    let mut again = Vec::new();
    parse(&written, &mut again);
    assert_eq!(challenges, again, "{written}");
}

/// A response with `Retry-After` or one of its like.
pub fn waiting_time(wire: &[u8]) {
    let Response { headers, .. } = response(wire);
    for status in [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ] {
        let wait = retry_after(status, &headers, now());
        let asked = headers
            .get("retry-after")
            .and_then(|value| value.to_str().ok());
        if let Some(seconds) = asked.and_then(|asked| asked.trim().parse::<u32>().ok()) {
            // `parse` takes a sign, which RFC 9110 section 10.2.3 does not.
            let plain = asked.is_some_and(|asked| !asked.contains('+'));
            assert_eq!(wait, plain.then(|| Duration::from_secs(seconds.into())));
        }
        if asked.is_none() && status == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(wait, None);
        }
    }
}

/// A response of a metadata endpoint, as it stands on the wire; its issuer is `https://auth.example.com`.
pub fn metadata(wire: &[u8]) {
    let url = Url::parse("https://auth.example.com").expect("a URL");
    let elsewhere = Url::parse("https://elsewhere.example").expect("a URL");
    for pinned in [None, Some(url.clone()), Some(elsewhere)] {
        for mutual_tls in [false, true] {
            let rules = document::Rules {
                issuer: "https://auth.example.com".to_owned(),
                url: url.clone(),
                plain_hosts: vec!["auth.example.com".to_owned()],
                pinned: pinned.clone(),
                mutual_tls,
                named_hosts: None,
            };
            match document::decode(&response(wire), &rules) {
                Ok(found) => {
                    let endpoint = found.token_endpoint;
                    assert_eq!(endpoint.scheme(), "https", "the issuer's is");
                    assert!(endpoint.username().is_empty() && endpoint.password().is_none());
                    assert!(endpoint.fragment().is_none());
                    assert!(
                        pinned
                            .as_ref()
                            .is_none_or(|pin| pin.origin() == endpoint.origin())
                    );
                }
                Err(unusable) => assert!(!unusable.why.contains(|c: char| c.is_control())),
            }
        }
    }
}

/// A file with a secret in it.
pub fn secret_file(bytes: &[u8]) {
    use crate::client_auth::credential::{flaw, text_of};

    let Some(text) = text_of(bytes) else {
        assert!(std::str::from_utf8(bytes).is_err());
        return;
    };
    let dropped = bytes
        .strip_prefix(text.as_bytes())
        .expect("nothing is changed");
    assert!(
        matches!(dropped, b"" | b"\n" | b"\r\n"),
        "one newline at most: {dropped:?}"
    );
    assert!(
        !text.ends_with('\n') || !dropped.is_empty(),
        "and one it is"
    );
    if flaw(text).is_none() {
        assert!(!text.is_empty() && !text.contains(['\r', '\n', '\0']));
    }
}

/// A status line, headers, an empty line, a body: whatever of it can be had.
fn response(wire: &[u8]) -> Response {
    let mut rest = wire;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, after) = match end {
            Some(end) => (rest.get(..end), rest.get(end + 1..)),
            None => (Some(rest), None),
        };
        rest = after.unwrap_or_default();
        line.unwrap_or_default().trim_ascii()
    };
    let status = line()
        .split(u8::is_ascii_whitespace)
        .find_map(|word| StatusCode::from_bytes(word).ok());
    let mut headers = HeaderMap::new();
    loop {
        let header = line();
        let Some(colon) = header.iter().position(|byte| *byte == b':') else {
            break;
        };
        let (name, value) = header.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    Response {
        status: status.unwrap_or(StatusCode::OK),
        headers,
        body: Zeroizing::new(rest.to_vec()),
    }
}

/// In 2027.
fn now() -> Moment {
    Moment::new(
        Duration::from_secs(1_000),
        Duration::from_secs(1_800_000_000),
    )
}

fn fit_for_a_header(token: &AccessToken) {
    let secret = token.expose_secret();
    assert!(!secret.is_empty() && secret.len() <= Rules::default().longest_token);
    assert!(secret.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(token.authorization().is_sensitive());
    assert_eq!(
        token.authorization().as_bytes(),
        format!("Bearer {secret}").as_bytes()
    );
}

/// I1: printable, short, and without our secret.
fn fit_to_be_shown(error: &Error) {
    for text in [format!("{error}"), format!("{error:#}")] {
        assert!(
            text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
            "{text:?}"
        );
        assert!(text.len() < 2_000, "{text}");
    }
    assert!(
        !format!("{error} {error:#} {error:?}").contains(SECRET),
        "{error:?}"
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Oracle = fn(&[u8]);

    /// Each oracle with the folder of its seeds, which are what real servers send (QUIRKS), and the RFCs' examples.
    const ORACLES: &[(&str, Oracle)] = &[
        ("token_response", token_response),
        ("www_authenticate", www_authenticate),
        ("waiting_time", waiting_time),
        ("metadata", metadata),
        ("secret_file", secret_file),
    ];

    fn seeds(name: &str) -> Vec<Vec<u8>> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds/");
        let files = std::fs::read_dir(format!("{folder}{name}")).unwrap();
        files
            .map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect()
    }

    #[test]
    fn no_seed_breaks_a_parser_whole_or_cut_or_with_a_byte_changed() {
        for (name, oracle) in ORACLES {
            let seeds = seeds(name);
            assert!(seeds.len() >= 5, "{name}: only {} seeds", seeds.len());
            for seed in seeds {
                oracle(&seed);
                for at in 0..seed.len() {
                    oracle(&seed[..at]);
                    for byte in *b"\"0\n\xff" {
                        let mut changed = seed.clone();
                        changed[at] = byte;
                        oracle(&changed);
                    }
                }
            }
        }
    }

    #[test]
    fn most_seeds_of_a_server_are_understood() {
        // A corpus that no parser reads would look into nothing.
        let masks = Masks::new(Vec::new());
        let decoded = |seed: &Vec<u8>| {
            decode(
                response(seed),
                &Rules::default(),
                &masks,
                Holder::default(),
                now(),
                now(),
            )
            .is_ok()
        };
        let seeds = seeds("token_response");
        let tokens = seeds.iter().filter(|seed| decoded(seed)).count();
        assert!(tokens >= 10, "{tokens} of {} are tokens", seeds.len());
    }

    proptest! {
        #[test]
        fn no_bytes_break_a_parser(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            ORACLES.iter().for_each(|(_, oracle)| oracle(&bytes));
        }

        #[test]
        fn no_two_seeds_put_together_break_a_parser(which: prop::sample::Index, one: prop::sample::Index, other: prop::sample::Index,
            from: prop::sample::Index, to: prop::sample::Index) {
            let (name, oracle) = which.get(ORACLES);
            let seeds = seeds(name);
            let (one, other) = (one.get(&seeds), other.get(&seeds));
            let spliced = [&one[..from.index(one.len() + 1)], &other[to.index(other.len() + 1)..]].concat();
            oracle(&spliced);
        }
    }
}
