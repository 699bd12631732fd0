//! Of what users write: URLs, configuration, keys and certificates.

use url::Url;

#[cfg(feature = "serde")]
use super::SECRET;
use crate::address::{Shown, is_loopback, parse, secure};

/// A URL.
pub fn url_as_written(bytes: &[u8]) {
    // A host is shown in lower case: it cannot become this.
    const PASSWORD: &str = "Hush-Hush";
    let text = String::from_utf8_lossy(bytes);
    match parse(&text) {
        Ok(url) => {
            assert!(matches!(url.scheme(), "http" | "https"));
            assert!(url.username().is_empty() && url.password().is_none());
            assert_eq!(parse(url.as_str()).as_ref(), Ok(&url), "{text:?}");
            assert_eq!(secure(&text, &[]).is_ok(), url.scheme() == "https" || is_loopback(&url), "{text:?}");
            assert!(!Shown(&url).to_string().contains(['?', '#']));
            same_for_another_parser(&text, &url);
        }
        Err(error) => {
            assert!(!error.contains(char::is_control), "{error:?}");
            assert!(error.chars().count() < 6_000, "{}", error.len());
        }
    }
    // What may be secret in it is not quoted, whatever the rest is.
    if text.contains(PASSWORD) {
        return;
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let error = parse(&format!("{scheme}://user:{PASSWORD}@{rest}")).expect_err("user information");
        assert!(!error.contains(PASSWORD), "{error}");
    }
    let Err(error) = parse(&format!("{text}?key={PASSWORD}")) else { return };
    assert!(!error.contains(PASSWORD), "{error}");
}

/// The parser of the crate http, which repairs nothing, finds the same place in the text.
fn same_for_another_parser(text: &str, url: &Url) {
    let Ok(uri) = text.parse::<http::Uri>() else {
        return;
    };
    let default = if url.scheme() == "https" { 443 } else { 80 };
    assert_eq!(uri.port_u16().unwrap_or(default), url.port_or_known_default().expect("http"), "{text:?}");
    let host = uri.host().expect("an absolute URL");
    if !host.starts_with('[') {
        assert!(host.eq_ignore_ascii_case(url.host_str().unwrap_or_default()), "{text:?}");
    }
    assert_eq!((uri.path(), uri.query()), (url.path(), url.query()), "{text:?}");
}

/// A configuration in JSON.
#[cfg(feature = "serde")]
pub fn configuration(json: &[u8]) {
    use serde_json::{Map, Value, from_slice, from_value};

    use crate::client_credentials::ClientCredentials;
    use crate::config::Config;
    use crate::error::ErrorKind;

    let Ok(mut members) = from_slice::<Map<String, Value>>(json) else {
        return;
    };
    // What looks at this machine.
    members.retain(|name, _| name != "http" && name != "store");
    let printable = |text: &str| !text.contains(char::is_control);
    match from_value::<Config>(members.clone().into()) {
        Ok(config) => {
            let known = |path: &str| Config::MEMBERS.iter().any(|member| member.path == path);
            for (name, value) in &members {
                assert_eq!(config.get(name), Some(value));
                let inner = value.as_object().filter(|_| !known(name)).into_iter().flatten();
                assert!(known(name) || value.is_object(), "{name}");
                inner.for_each(|(inner, _)| assert!(known(&format!("{name}.{inner}")), "{name}.{inner}"));
            }
            // An empty one changes nothing, on either side.
            let shown = format!("{config:?}");
            for merged in [config.clone().overridden_by(Config::new()), Config::new().overridden_by(config.clone())] {
                assert_eq!(format!("{merged:?}"), shown);
                members.iter().for_each(|(name, value)| assert_eq!(merged.get(name), Some(value)));
            }
            match ClientCredentials::builder_from(config) {
                Ok(_) => {
                    let places = ["token_endpoint", "issuer", "protected_resource"];
                    assert_eq!(places.iter().filter(|place| members.contains_key(**place)).count(), 1);
                    assert!(members.get("auth").and_then(|auth| auth.get("method")).is_some());
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Configuration);
                    assert!(printable(&error.to_string()), "{error}");
                }
            }
        }
        Err(error) => assert!(printable(&error.to_string()), "{error}"),
    }
    // A secret in plain text is refused wherever one would put it, and not repeated.
    for (table, name) in
        [("auth", "secret"), ("auth", "client_secret"), ("auth", "key"), ("dpop", "key"), ("", "client_secret")]
    {
        let mut members = members.clone();
        let place = match table {
            "" => Some(&mut members),
            _ => members.entry(table).or_insert_with(|| Map::new().into()).as_object_mut(),
        };
        let Some(place) = place else { continue };
        place.insert(name.to_owned(), SECRET.into());
        let Err(error) = from_value::<Config>(members.into()) else { panic!("{table}.{name} is taken") };
        let error = error.to_string();
        assert!(error.contains("_file or "), "{error}");
        assert!(!error.contains(SECRET) || String::from_utf8_lossy(json).contains(SECRET), "{error}");
    }
}

/// A key or certificate as an environment variable has it; and these bytes as one, in each shape that is corrected.
#[cfg(any(feature = "jwt", feature = "mtls", feature = "redis"))]
pub fn key_text(bytes: &[u8]) {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use crate::pem::{corrected, looks_like};

    let text = String::from_utf8_lossy(bytes);
    let _ = corrected(&text);
    let look = looks_like(&text);
    assert!(look.is_empty() || look.starts_with(": "), "{look}");

    // RFC 7468 section 2.
    let base64 = STANDARD.encode(bytes);
    let lines: Vec<_> =
        base64.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned() + "\n").collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.concat());
    let escaped = pem.replace('\n', "\\n");
    for shape in [
        pem.clone(),
        pem.replace('\n', "\r\n"),
        pem.replace('\n', " "),
        pem.replace('\n', ""),
        pem.replace('\n', "\n\t"),
        escaped.clone(),
        format!("'{escaped}'"),
        format!("\"'{escaped}'\""),
        STANDARD.encode(&pem),
    ] {
        assert_eq!(corrected(&shape).trim(), pem.trim(), "{shape}");
    }
    assert_eq!(looks_like(&escaped), ": it has a certificate and nothing else");
}

/// A certificate in DER.
pub fn certificate(der: &[u8]) {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use crate::x509::{facts, of_pem};

    let found = facts(der);
    let pem = format!("-----BEGIN CERTIFICATE-----{}-----END CERTIFICATE-----", STANDARD.encode(der));
    assert_eq!(of_pem(&pem), found);
    let Some(found) = found else { return };
    for name in [&found.issuer, &found.subject] {
        assert!(name.len() <= 256 && name.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{name:?}");
    }
    for instant in [found.not_before, found.not_after] {
        assert!(instant.as_secs() < 253_402_300_800, "after the year 9999");
    }
    // What follows the certificate is not a part of it.
    assert_eq!(facts(&[der, b"\x30\x00"].concat()), Some(found));
}
