//! Issuer, subject and validity of a certificate (RFC 5280 section 4.1), to be shown, never for a decision about trust.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::clock::calendar::since_epoch;
use crate::server_text::shown;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    /// Since the epoch.
    pub(crate) not_before: Duration,
    pub(crate) not_after: Duration,
}

pub(crate) const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
pub(crate) const INTEGER: u8 = 0x02;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

/// `None`: it is not a certificate, or cannot be parsed.
pub(crate) fn facts(der: &[u8]) -> Option<Facts> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (body, _) = element(certificate, SEQUENCE)?;
    let body = element(body, VERSION).map_or(body, |(_, rest)| rest);
    let (_serial, body) = element(body, INTEGER)?;
    let (_algorithm, body) = element(body, SEQUENCE)?;
    let (issuer, body) = element(body, SEQUENCE)?;
    let (validity, body) = element(body, SEQUENCE)?;
    let (subject, _) = element(body, SEQUENCE)?;
    let (not_before, validity) = time(validity)?;
    let (not_after, _) = time(validity)?;
    Some(Facts { issuer: name(issuer), subject: name(subject), not_before, not_after })
}

/// The first certificate of a PEM text.
pub(crate) fn of_pem(text: &str) -> Option<Facts> {
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (base64, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let base64: String = base64.chars().filter(|c| !c.is_whitespace()).collect();
    facts(&STANDARD.decode(base64).ok()?)
}

/// One element with this tag: its content, and the rest.
pub(crate) fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, mut rest) = rest.split_first()?;
    let mut length = usize::from(*length);
    if length & 0x80 != 0 {
        let digits = rest.get(..length & 0x7f).filter(|digits| digits.len() <= 4)?;
        rest = rest.get(digits.len()..)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
    }
    (*first == tag).then_some(())?;
    rest.split_at_checked(length)
}

/// The common name, otherwise the organisation.
fn name(mut parts: &[u8]) -> String {
    // 2.5.4.3 and 2.5.4.10 (RFC 5280 appendix A.1).
    let (mut common, mut organisation) = (None, None);
    while let Some((set, rest)) = element(parts, SET) {
        parts = rest;
        let Some((oid, value)) = element(set, SEQUENCE).and_then(|(pair, _)| element(pair, OID)) else { continue };
        let text = value.first().and_then(|tag| element(value, *tag)).map(|(text, _)| String::from_utf8_lossy(text));
        match oid {
            [0x55, 4, 3] => common = text,
            [0x55, 4, 10] => organisation = text,
            _ => {}
        }
    }
    match (common, organisation) {
        (Some(common), Some(organisation)) => shown(&format!("{common} ({organisation})")),
        (Some(one), None) | (None, Some(one)) => shown(&one),
        (None, None) => "without a name".to_owned(),
    }
}

fn time(bytes: &[u8]) -> Option<(Duration, &[u8])> {
    let (tag, year_digits) = if bytes.first() == Some(&UTC_TIME) { (UTC_TIME, 2) } else { (GENERALIZED_TIME, 4) };
    let (digits, rest) = element(bytes, tag)?;
    let (year, text) = std::str::from_utf8(digits).ok()?.split_at_checked(year_digits)?;
    let year = match year.parse::<u64>().ok()? {
        year if tag == GENERALIZED_TIME => year,
        // RFC 5280 section 4.1.2.5.1.
        year @ 50.. => 1900 + year,
        year => 2000 + year,
    };
    let part = |at: usize| text.get(at..at + 2)?.parse::<u64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    let (hour, minute, second) = (part(4)?, part(6)?, part(8)?);
    Some((since_epoch([year, month, day, hour, minute, second])?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_common_name_and_the_organisation_as_far_as_there_are_any() {
        let entry = |attribute: u8, text: &str| {
            let oid = [OID, 3, 0x55, 4, attribute];
            let value = [&[0x0c, text.len() as u8], text.as_bytes()].concat();
            let pair = [&[SEQUENCE, (oid.len() + value.len()) as u8], &oid[..], &value].concat();
            [&[SET, pair.len() as u8], &pair[..]].concat()
        };
        let (common, organisation, country) = (entry(3, "a.example"), entry(10, "A Ltd"), entry(6, "AT"));
        for (parts, shown) in [
            ([&country[..], &organisation, &common].concat(), "a.example (A Ltd)"),
            ([&country[..], &organisation].concat(), "A Ltd"),
            ([&common[..], &country].concat(), "a.example"),
        ] {
            assert_eq!(name(&parts), shown);
        }
    }

    const SERVER: &str = include_str!("testing/certificates/server.pem");

    #[test]
    fn the_facts_of_a_certificate_are_read() {
        let facts = of_pem(SERVER).unwrap();
        assert_eq!(facts.issuer, "client-credentials test CA, not to be trusted outside tests");
        assert_eq!(facts.subject, "localhost");
        assert_eq!(facts.not_before, Duration::from_secs(1_735_689_600), "2025-01-01, a UTCTime");
        assert_eq!(facts.not_after, Duration::from_secs(4_891_363_200), "2125-01-01, a GeneralizedTime");
    }

    #[test]
    fn a_leap_day_is_a_day() {
        let utc = |text: &str| [&[UTC_TIME, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let at = |text: &str| time(&utc(text)).map(|(at, _)| at.as_secs());
        assert_eq!(at("240229123456Z"), Some(1_709_210_096));
        assert_eq!(at("700101000000Z"), Some(0));
        assert_eq!(at("500101000000Z"), None, "before the epoch");
        assert_eq!(at("491231235959Z"), Some(2_524_607_999), "2049");
        for text in ["2402", "240029123456Z", "241329123456Z", "240200123456Z", "240232123456Z", "240229243456Z"] {
            assert_eq!(at(text), None, "{text}");
        }
        assert_eq!(at("240229126056Z"), None, "no minute");
        assert_eq!(at("240229123460Z"), None, "no second");
    }

    #[test]
    fn truncated_and_unrelated_bytes_are_not_a_certificate() {
        let (_, rest) = SERVER.split_once("-----BEGIN CERTIFICATE-----").unwrap();
        let base64: String = rest.split_once("-----END").unwrap().0.split_whitespace().collect();
        let der = STANDARD.decode(base64).unwrap();
        for end in 0..der.len() {
            assert_eq!(facts(&der[..end]), None);
        }
        assert_eq!(facts(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30]), None);
        assert_eq!(facts(&[0x30, 0x80]), None);
    }

    #[test]
    fn a_length_has_up_to_four_bytes() {
        let content = [7; 258];
        for head in [&[SEQUENCE, 0x82, 1, 2][..], &[SEQUENCE, 0x84, 0, 0, 1, 2]] {
            assert_eq!(element(&[head, &content].concat(), SEQUENCE), Some((&content[..], &[][..])), "{head:?}");
        }
        assert_eq!(element(&[&[SEQUENCE, 0x85, 0, 0, 0, 1, 2][..], &content].concat(), SEQUENCE), None);
    }
}
