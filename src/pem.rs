//! Keys and certificates as deployments pass them on: PEM (RFC 7468) that an environment variable, a template or a secret
//! manager has changed. Unambiguous changes are corrected; for others the error describes the text.

use base64::Engine;
#[cfg(test)]
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

/// The text before it was quoted, escaped, put on one line or encoded in base64 again. Any other text is unchanged.
pub(crate) fn corrected(text: &str) -> Zeroizing<String> {
    // Twice: a text may be quoted within quotes, or encoded with its quotes.
    let mut corrected = unwrapped(&unwrapped(text));
    if corrected.contains(BEGIN) && !is_json(&corrected) {
        corrected = in_lines(&corrected);
    }
    corrected
}

/// A JSON object, in which a PEM text may be a member: its escapes belong to it.
fn is_json(text: &str) -> bool {
    text.strip_prefix('{').is_some_and(|inside| inside.trim_start().starts_with(['"', '}']))
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// How "-----BEGIN" begins in base64.
const BEGIN_IN_BASE64: &str = "LS0tLS1CRUdJT";
/// RFC 7468 section 2.
const LINE: usize = 64;

/// The text without quotes, escapes and an encoding around it.
fn unwrapped(text: &str) -> Zeroizing<String> {
    let text = trimmed(text);
    if text.starts_with(BEGIN_IN_BASE64) {
        // Also in the alphabet for URLs (RFC 4648 section 5).
        let usual = |c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        };
        let joined = Zeroizing::new(text.chars().filter(|c| !c.is_whitespace()).map(usual).collect::<String>());
        let decoded = STANDARD_NO_PAD.decode(joined.trim_end_matches('=')).map(Zeroizing::new);
        if let Some(decoded) = decoded.as_ref().ok().and_then(|bytes| std::str::from_utf8(bytes).ok()) {
            return Zeroizing::new(trimmed(decoded).to_owned());
        }
    }
    let quoted = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    let inner = quoted('"').or_else(|| quoted('\'')).map(trimmed);
    // Only if it is certainly a key or certificate: base64 and the lines around it have no backslash, JSON begins with
    // a quotation mark after its brace.
    let bare = inner.unwrap_or(text);
    if is_json(bare) || !bare.contains(BEGIN) && !["{\\", "\\\""].iter().any(|begin| bare.starts_with(begin)) {
        return Zeroizing::new(bare.to_owned());
    }
    unescaped(bare)
}

fn trimmed(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

/// Any number of backslashes before a letter is one escape: a text may have been escaped several times.
fn unescaped(text: &str) -> Zeroizing<String> {
    // The full size: growing would leave copies of the key in memory.
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        while characters.next_if_eq(&'\\').is_some() {}
        match characters.next() {
            Some('n' | 'r') => plain.push('\n'),
            Some('t') => plain.push(' '),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

/// Puts the boundaries and the base64 of each section on lines of their own. A section with something else inside
/// (headers of RFC 1421) is unchanged.
fn in_lines(text: &str) -> Zeroizing<String> {
    // The full size: growing would leave copies of the key in memory.
    let mut lines = Zeroizing::new(String::with_capacity(text.len().saturating_mul(2)));
    let mut rest = text;
    while let Some((before, section)) = rest.split_once(BEGIN) {
        let parts = section.split_once(DASHES).and_then(|(label, body)| {
            let end = Zeroizing::new(format!("{END}{label}{DASHES}"));
            let (body, after) = body.split_once(end.as_str())?;
            Some((label, body, after))
        });
        lines.push_str(before);
        if !lines.is_empty() && !lines.ends_with('\n') {
            lines.push('\n');
        }
        lines.push_str(BEGIN);
        let Some((label, body, after)) = parts.filter(|(label, ..)| !label.contains(['\n', '\r'])) else {
            rest = section;
            continue;
        };
        lines.push_str(label);
        lines.push_str(DASHES);
        let base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        if body.chars().all(|c| base64(c) || c.is_whitespace()) {
            for (n, character) in body.chars().filter(|c| !c.is_whitespace()).enumerate() {
                if n % LINE == 0 {
                    lines.push('\n');
                }
                lines.push(character);
            }
            lines.push('\n');
        } else {
            lines.push_str(body);
        }
        lines.push_str(END);
        lines.push_str(label);
        lines.push_str(DASHES);
        lines.push('\n');
        rest = after.trim_start();
    }
    lines.push_str(rest);
    lines
}

/// Refuses a corrected text with several keys of a kind (`private` or `public`): which one is meant is not known. One
/// that is cut off does not count, one in a format that is not supported does.
pub(crate) fn at_most_one(kind: &str, text: &str) -> Result<(), String> {
    let label = format!("{} KEY{DASHES}", kind.to_ascii_uppercase());
    let edges =
        |edge| text.split(edge).skip(1).filter(|rest| rest.lines().next().unwrap_or_default().ends_with(&label));
    match edges(BEGIN).count().min(edges(END).count()) {
        0 | 1 => Ok(()),
        several => Err(format!("has {several} {kind} keys (PEM): give one of them")),
    }
}

/// What a text of another format looks like, for an error, without any part of it.
pub(crate) fn looks_like(text: &str) -> &'static str {
    // Only labels and names of members are searched for.
    let corrected = corrected(text);
    let text = corrected.trim();
    let has = |label: &str| text.contains(&format!("{BEGIN}{label}{DASHES}"));
    let is_base64 = || text.len() > 40 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=-_\r\n".contains(&b));
    let is_hex = || text.len() > 40 && text.bytes().all(|b| b.is_ascii_hexdigit() || b.is_ascii_whitespace());
    // A sequence of DER (X.690 section 8.9) begins with 0x30.
    let is_der = || text.starts_with('M') && text.get(1..2).is_some_and(|second| ("A"..="P").contains(&second));
    match text {
        "" => ": it is empty",
        _ if is_json(text) && text.contains("\"private_key\"") => {
            ": it looks like a service account file (JSON), whose member private_key is the key"
        }
        _ if text.starts_with("PuTTY-User-Key-File") => {
            ": it has a private key in PuTTY's own format: puttygen -O private-openssh and ssh-keygen -p -m PKCS8 convert it"
        }
        _ if has("ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") => {
            ": it has a private key that is encrypted with a password, which is not supported: openssl pkey decrypts it"
        }
        _ if has("OPENSSH PRIVATE KEY") => {
            ": it has a private key in OpenSSH's own format: ssh-keygen -p -m PKCS8 converts it"
        }
        _ if text.starts_with("ssh-") || text.starts_with("ecdsa-sha2-") => ": it looks like a public key of OpenSSH",
        _ if text.contains(BEGIN) && !text.contains(END) => ": it looks like PEM that is cut off",
        _ if has("PRIVATE KEY") || has("RSA PRIVATE KEY") || has("EC PRIVATE KEY") => ": it has a private key",
        _ if has("CERTIFICATE REQUEST") || has("NEW CERTIFICATE REQUEST") => ": it has a certificate request",
        _ if has("CERTIFICATE") => ": it has a certificate and nothing else",
        _ if has("PUBLIC KEY") || has("RSA PUBLIC KEY") => ": it has a public key and nothing else",
        _ if text.contains(BEGIN) => ": it is PEM of another kind",
        _ if text.starts_with('{') && text.contains("\"kty\"") => ": it looks like a JWK",
        _ if text.starts_with(['{', '[']) => ": it looks like JSON without a key",
        _ if text.contains("BEGIN ") && text.contains("END ") => {
            ": it looks like PEM whose lines BEGIN and END were changed: each has five hyphens at both ends"
        }
        _ if is_hex() => ": it looks like a key or certificate in hexadecimal: it has to be PEM",
        _ if text.starts_with('<') => ": it looks like XML",
        _ if is_der() && is_base64() => {
            ": it looks like the base64 of a key or certificate without the lines -----BEGIN ..----- and -----END ..-----"
        }
        _ if text.starts_with("eyJ") && text.matches('.').count() == 2 => ": it looks like a JWT",
        _ if text.starts_with("eyJ") && is_base64() => ": it looks like JSON in base64",
        _ if !text.contains('\n') && is_path(text) => ": it looks like a path; Credential::file reads a file",
        _ => "",
    }
}

fn is_path(text: &str) -> bool {
    let begins = ["/", "./", "../", "~/", "file:", "C:\\"].iter().any(|begin| text.starts_with(begin));
    let ends = [".pem", ".key", ".crt", ".cer", ".json", ".jwk", ".p12", ".pfx"].iter().any(|end| text.ends_with(end));
    begins || ends
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.key"));
    const CERTIFICATE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.crt"));

    #[test]
    fn pem_is_read_in_every_form_of_deployment() {
        // FE9
        for pem in [KEY.to_owned(), format!("{CERTIFICATE}{KEY}")] {
            let escaped = pem.replace('\n', "\\n");
            let json = serde_json::to_string(&pem).unwrap();
            let as_lines = |separator: &str| pem.lines().collect::<Vec<_>>().join(separator);
            for (how, text) in [
                ("as it is", pem.clone()),
                ("after a byte order mark", format!("\u{feff}{pem}")),
                ("with carriage returns", as_lines("\r\n")),
                ("with carriage returns alone", as_lines("\r")),
                ("backslash-n", escaped.clone()),
                ("backslash-r-backslash-n", pem.replace('\n', "\\r\\n")),
                ("escaped twice", pem.replace('\n', "\\\\n")),
                ("in quotes", format!("\"{pem}\"")),
                ("in single quotes", format!("'{escaped}'")),
                ("in quotes twice", format!("'\"{escaped}\"'")),
                ("a JSON string", json.clone()),
                ("a JSON string in JSON", serde_json::to_string(&json).unwrap()),
                ("on one line with spaces", as_lines(" ")),
                ("on one line", as_lines("")),
                ("indented", as_lines("\n    ")),
                ("with empty lines", as_lines("\n\n")),
                ("continued lines", as_lines("\\\n")),
                ("in base64", STANDARD.encode(&pem)),
                ("in base64 with line breaks", STANDARD.encode(&pem).replace("AB", "AB\n") + "\n"),
                ("quoted and in base64", format!("\"{}\"", STANDARD.encode(&pem))),
                ("in base64 without padding", STANDARD.encode(&pem).trim_end_matches('=').to_owned()),
                ("in base64 for URLs", URL_SAFE_NO_PAD.encode(&pem)),
            ] {
                assert_eq!(corrected(&text).trim(), pem.trim(), "{how}");
            }
        }
    }

    #[test]
    fn json_is_read_in_quotes_and_escaped() {
        let jwk = r#"{"kty":"OKP","d":"x"}"#;
        let quoted = serde_json::to_string(jwk).unwrap();
        let twice = serde_json::to_string(&quoted).unwrap();
        for text in [jwk, &quoted, &twice, &format!("'{jwk}'"), &jwk.replace('"', "\\\"")] {
            assert_eq!(&**corrected(text), jwk, "{text}");
        }
        // The escapes of a member belong to the JSON.
        let account = serde_json::json!({"type": "service_account", "private_key": KEY}).to_string();
        for text in [&account, &format!("'{account}'")] {
            assert_eq!(&**corrected(text), account, "{text}");
        }
        for text in [r"a\nb", r"{a\tb", "\\"] {
            assert_eq!(&**corrected(text), text, "neither PEM nor JSON");
        }
    }

    #[test]
    fn a_section_begins_a_line() {
        assert_eq!(&**corrected(KEY), KEY);
        assert_eq!(&**corrected(&format!("Bag Attributes {KEY}")), format!("Bag Attributes \n{KEY}"));
    }

    #[test]
    fn an_error_describes_the_format_of_the_text() {
        let one_line = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        for (text, told) in [
            ("", "empty"),
            (" \n", "empty"),
            (&one_line("CERTIFICATE"), "a certificate and nothing else"),
            (&one_line("PUBLIC KEY"), "a public key"),
            (&one_line("OPENSSH PRIVATE KEY"), "OpenSSH"),
            (&one_line("CERTIFICATE REQUEST"), "request"),
            (&one_line("ENCRYPTED PRIVATE KEY"), "password"),
            (&one_line("DH PARAMETERS"), "another kind"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA", "cut off"),
            ("ssh-ed25519 AAAA me@host", "OpenSSH"),
            (r#"{"type":"service_account","private_key":"x"}"#, "service account"),
            ("{}", "JSON"),
            (&serde_json::json!({"type": "service_account", "private_key": KEY}).to_string(), "service account"),
            (&serde_json::to_string_pretty(&serde_json::json!({"private_key": KEY})).unwrap(), "service account"),
            (&format!("MIIEvg{}", "A".repeat(60)), "without the lines"),
            (&format!("MC4CAQAw{}", "A".repeat(60)), "without the lines"),
            (&format!("MHcCAQEE{}", "A".repeat(60)), "without the lines"),
            (&format!("30820122{}", "a0".repeat(60)), "hexadecimal"),
            (&KEY.replace("-----", "----"), "five hyphens"),
            (&KEY.replace("-----", "\u{2014}"), "five hyphens"),
            ("PuTTY-User-Key-File-3: ssh-rsa", "PuTTY"),
            ("<RSAKeyValue/>", "XML"),
            ("eyJhbGciOiJub25lIn0.e30.", "JWT"),
            (&format!("eyJ{}", "A".repeat(60)), "JSON in base64"),
            (&one_line("PRIVATE KEY"), ": it has a private key"),
            (&one_line("RSA PRIVATE KEY"), ": it has a private key"),
            (&one_line("EC PRIVATE KEY"), ": it has a private key"),
            (&format!("MII{}", "A".repeat(37)), ""),
            ("MIIEvg", ""),
            ("MII, with more than forty characters that are no base64", ""),
            ("eyJ, with more than forty characters that are no base64", ""),
            (&"Q".repeat(60), ""),
            (&"G".repeat(60), ""),
            (&"3a".repeat(20), ""),
            ("a.b.c", ""),
            ("BEGIN of a secret", ""),
            ("/run/secrets/key.pem", "path"),
            ("keys/client.pem", "path"),
            ("hunter2", ""),
        ] {
            let said = looks_like(text);
            assert!(said.contains(told) && (!told.is_empty() || said.is_empty()), "{text}: {said}");
        }
    }

    #[test]
    fn keys_are_counted_and_nothing_else_is() {
        // F20
        let cut = &KEY[..KEY.len() / 2];
        let locked = KEY.replace("PRIVATE", "ENCRYPTED PRIVATE");
        for (text, count) in [
            (String::new(), 0),
            (CERTIFICATE.to_owned(), 0),
            (format!("{CERTIFICATE}{KEY}{CERTIFICATE}"), 1),
            (format!("-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n{KEY}"), 1),
            (format!("{cut}\n{KEY}"), 1),
            (format!("{KEY}{cut}"), 1),
            (format!("-----BEGIN PRIVATE KEY-----\n{KEY}"), 1),
            (KEY.replace("PRIVATE", "PUBLIC").repeat(2) + KEY, 1),
            (format!("{KEY}{locked}"), 2),
            (KEY.replace("PRIVATE", "EC PRIVATE").repeat(3), 3),
        ] {
            let told = at_most_one("private", &text).err().unwrap_or_default();
            assert_eq!(told.is_empty(), count < 2, "{text}");
            assert!(count < 2 || told.contains(&format!("has {count} private keys")), "{told}");
        }
    }

    #[test]
    fn base64_may_have_the_alphabet_for_urls() {
        // Of ASCII, only these characters are encoded as one that differs.
        let text = format!("{KEY}# ~~~???");
        for encoded in [STANDARD.encode(&text), base64::engine::general_purpose::URL_SAFE.encode(&text)] {
            assert_eq!(&**corrected(&encoded), &**corrected(&text), "{encoded}");
            assert!(corrected(&encoded).contains("~~~???"));
        }
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic_and_a_corrected_one_is_unchanged(text: String, edge in "-----(BEGIN|END) (CERTIFICATE|PRIVATE KEY|X)-----") {
            let text = format!("{text}{edge}{text}\\{edge}");
            let _ = looks_like(&text);
            let _ = at_most_one("private", &text);
            let _ = corrected(&text);
        }
    }
}
