//! Where a secret may be sent: URLs checked as they are written, loopback hosts, hosts at public addresses.

mod public;

use std::fmt;
use std::net::IpAddr;

use idna::domain_to_unicode;
use url::{Host, Position, Url};

pub(crate) use public::{NamedHosts, NotPublic, public};

/// Parses an `http` or `https` URL, which must be correct as it is written: the WHATWG parser repairs `https:///host`,
/// blanks, backslashes, `https:host`, `127.1`, `..` or invisible characters, and a repaired URL may name another place
/// than the intended one. RFC 9110 section 4.2.2 requires a host that is not empty.
///
/// The error states what is wrong and quotes the text without user information, query and fragment.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    if let Some(flaw) = flaw(text) {
        return Err(format!("{} {flaw}", Quoted(text)));
    }
    let url = Url::parse(text).map_err(|e| format!("{} is not a URL ({e})", Quoted(text)))?;
    if is_as_written(text, &url) {
        return Ok(url);
    }
    let (written, read) = (Quoted(text).to_string(), Quoted(url.as_str()).to_string());
    Err(match written == read {
        true => format!("{written} has a character in its query or fragment that must be percent-encoded"),
        false => format!("{written} would be read as {read}: write it that way if this is the place that you mean"),
    })
}

/// Whether the parser left the URL as it is, but for the case of scheme and host, a default port, an empty path, and the notation
/// of an IPv6 address or of an internationalised name.
fn is_as_written(text: &str, url: &Url) -> bool {
    let authority = authority(text).unwrap_or_default();
    let host = host_of(authority);
    let same_host = match url.host() {
        Some(Host::Ipv6(address)) => host.trim_matches(['[', ']']).parse() == Ok(address),
        _ => url.host_str().is_some_and(|read| {
            // A name in another script is as written if its ASCII form (RFC 5891) says the same.
            read.eq_ignore_ascii_case(host) || domain_to_unicode(read).0 == host.to_lowercase()
        }),
    };
    let rest = text.split_once("://").and_then(|(_, rest)| rest.strip_prefix(authority)).unwrap_or_default();
    let read = &url[Position::BeforePath..];
    same_host && (rest == read || !rest.starts_with('/') && read.strip_prefix('/') == Some(rest))
}

/// Like [`parse`], for a URL to which a secret may be sent: over `https`, or over `http` to this machine and to
/// `plain_hosts`.
pub(crate) fn secure(text: &str, plain_hosts: &[String]) -> Result<Url, String> {
    let url = parse(text)?;
    match is_secure(&url, plain_hosts) {
        true => Ok(url),
        false => {
            let host = url.host_str().unwrap_or_default();
            Err(format!(
                "{} would send secrets to {host} unencrypted: use https, or allow it with dangerously_allow_http({host:?})",
                Quoted(text)
            ))
        }
    }
}

/// Whether a secret may be sent to this URL.
pub(crate) fn is_secure(url: &Url, plain_hosts: &[String]) -> bool {
    let host = url.host_str().unwrap_or_default();
    url.scheme() == "https"
        || is_loopback_host(host)
        || plain_hosts.iter().any(|plain| plain.eq_ignore_ascii_case(host))
}

/// What is wrong with a host name that was given without a URL.
pub(crate) fn host_flaw(host: &str) -> Option<String> {
    let is_name = !host.is_empty() && !host.contains(['/', '@', '?', '#', '\\', '*']);
    let is_name = is_name && !host.contains(|c: char| c.is_whitespace() || c.is_control());
    let has_port = !host.starts_with('[') && host.contains(':');
    (!is_name || has_port).then(|| format!("{host:?} is not the name of a host, without scheme and port"))
}

fn flaw(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("is empty: give https://host/path");
    }
    if text.starts_with(['"', '\'']) {
        return Some("is in quotes: leave them out");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Some("has a blank, a line break or another control character in it");
    }
    if text.contains('\\') {
        return Some("has a backslash");
    }
    let Some((scheme, _)) = text.split_once("://") else {
        return Some("is not an absolute URL: give https://host/path");
    };
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Some("does not begin with https://");
    }
    let authority = authority(text)?;
    if authority.contains('@') {
        return Some("has user information before the host: credentials belong in ClientAuth");
    }
    let host = host_of(authority);
    let port = authority.get(host.len()..).unwrap_or_default();
    if host.is_empty() {
        return Some("has no host: give https://host/path");
    }
    if host.contains('%') {
        return Some("has a percent sign in its host");
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "-._".contains(c);
    if !host.starts_with('[') && !host.chars().all(fits) {
        return Some("has a character in its host that no name of a host has: was a placeholder filled in?");
    }
    if !host.starts_with('[') && host.strip_suffix('.').unwrap_or(host).split('.').any(str::is_empty) {
        return Some("has an empty part in the name of its host");
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some(digits) if digits.bytes().all(|c| c.is_ascii_digit()) && digits.parse::<u16>().is_ok_and(|n| n > 0) => {
            None
        }
        _ => Some("has a port that is not a number from 1 to 65535"),
    }
}

/// The part between `://` and the path.
fn authority(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    rest.split(['/', '?', '#']).next()
}

/// An authority without its port; an IPv6 address keeps its brackets.
fn host_of(authority: &str) -> &str {
    let end = match authority.starts_with('[') {
        true => authority.find(']').map(|end| end + 1),
        false => authority.find(':'),
    };
    end.and_then(|end| authority.get(..end)).unwrap_or(authority)
}

/// Whether the host is a loopback address or exactly `localhost`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback_host)
}

/// The same for a host in the form that it has in URLs, with IPv6 addresses in brackets.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// A URL without the parts that may be secret: `https://host:port/path`.
pub(crate) struct Shown<'a>(pub(crate) &'a Url);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.0.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.as_str().chars().take(LONGEST).try_for_each(|c| fmt::Write::write_char(f, c))
    }
}

/// A URL from metadata can have any length.
const LONGEST: usize = 256;

/// A text that should be a URL, for an error: without the parts that may be secret, control characters escaped.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = self.0.split(['?', '#']).next().unwrap_or_default();
        // The part before the last `@` may be a password, whatever the form of the rest.
        let (before, shown) = bare.rsplit_once('@').map_or(("", bare), |(_, after)| ("..@", after));
        // A port that is not a number may be a password without its `@`.
        let authority = authority(shown).unwrap_or(shown.split('/').next().unwrap_or_default());
        let port = authority.strip_prefix(host_of(authority)).unwrap_or_default();
        let is_number = port.bytes().all(|c| c == b':' || c.is_ascii_digit());
        let shown = match is_number {
            true => shown.to_owned(),
            false => shown.replacen(port, ":..", 1),
        };
        let shown: String = shown.chars().take(LONGEST).collect();
        write!(f, "{:?}", format_args!("{before}{shown}").to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_a_parser_would_repair_is_refused_and_quoted() {
        // FA2
        for (text, flaw) in [
            ("", "is empty"),
            ("https:///oauth2/token", "no host"),
            ("https://", "no host"),
            ("https://:443/token", "no host"),
            ("https://?x", "no host"),
            ("https:host/token", "not an absolute URL"),
            ("https:/host/token", "not an absolute URL"),
            ("//host/token", "not an absolute URL"),
            ("host/token", "not an absolute URL"),
            (" https://host/token", "blank"),
            ("https://host/token\n", "blank"),
            ("https://ho\tst/token", "blank"),
            ("https://host /token", "blank"),
            ("https://host\u{a0}/token", "blank"),
            ("https:\\\\host\\token", "backslash"),
            ("https://host\\@evil/token", "backslash"),
            ("https://host:0/token", "port"),
            ("https://host:/token", "port"),
            ("https://host:65536/token", "port"),
            ("https://host:+1/token", "port"),
            ("https://[::1]x/token", "port"),
            ("https://ho%2est/token", "percent"),
            ("https://api..example.com", "empty part"),
            ("https://.example.com", "empty part"),
            ("https://./", "empty part"),
            ("https://127.1/token", "would be read as \"https://127.0.0.1/token\""),
            ("https://0x7f.0.0.1/token", "would be read as"),
            ("https://2130706433/token", "would be read as"),
            ("https://host/a/../token", "would be read as \"https://host/token\""),
            ("https://host/%2E%2e/token", "would be read as"),
            ("https://host/./token", "would be read as"),
            ("https://host/{tenant}/token", "https://host/%7Btenant%7D/token"),
            ("https://host/token\u{200b}", "would be read as"),
            ("https://host/t\u{f6}ken", "would be read as \"https://host/t%C3%B6ken\""),
            ("https://ho\u{ad}st/token", "would be read as \"https://host/token\""),
            ("https://auth\u{3002}example/token", "would be read as \"https://auth.example/token\""),
            ("https://\u{ff48}ost/token", "would be read as \"https://host/token\""),
            ("https://stra\u{2060}sse.example/token", "would be read as \"https://strasse.example/token\""),
            ("https://host/token?a=\"pass\"", "percent-encoded"),
            ("https://host/token?a=pass\u{e9}", "percent-encoded"),
            ("ftp://host/token", "https://"),
            ("javascript://host/token", "https://"),
            ("https://user:pass@host/token", "user information"),
            ("https://{host}/token", "placeholder"),
            ("https://${HOST}/token", "placeholder"),
            ("https://*.example.com/token", "placeholder"),
            ("https://[::1/token", "not a URL"),
            ("https://host:pass/token", "port"),
            ("https://[::1]pass/token", "port"),
            ("host:pass/token", "not an absolute URL"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(flaw), "{text:?}: {error}");
            assert!(!error.contains("pass"), "{error}");
        }
        let error = parse("https://ho st/a?key=hush#x").expect_err("a blank");
        assert_eq!(error, r#""https://ho st/a" has a blank, a line break or another control character in it"#);
    }

    #[test]
    fn ordinary_urls_are_accepted() {
        for text in [
            "https://auth.example.com/oauth2/token",
            "HTTPS://Auth.Example.COM:8443/token?tenant=a",
            "https://auth.example.com./token",
            "http://127.0.0.1:8080",
            "http://[::1]:8080/token",
            "https://auth.example.com?x",
            "https://auth.example.com:443/",
            "https://auth.example.com:0443/a%2Fb//c;d=1/~x?a=%20&b=1+2&c=(d)!*",
            "http://[0:0::1]/token",
            "https://[2001:DB8::1]:8443",
            "https://b\u{fc}cher.example/token",
            "https://B\u{dc}CHER.example/token",
            "https://xn--bcher-kva.example/token",
            "https://xn--bcher-kva.example#y",
        ] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_and_allowed_hosts() {
        let plain = ["keycloak".to_owned()];
        for (text, fine) in [
            ("https://auth.example.com", true),
            ("http://localhost", true),
            ("http://127.0.0.9", true),
            ("http://KeyCloak:8080", true),
            ("http://auth.example.com", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(secure(text, &plain).is_ok(), fine, "{text}");
        }
        assert!(secure("http://a.example", &[]).expect_err("plain").contains("dangerously_allow_http(\"a.example\")"));
        for host in ["", "http://x", "host:80", "a/b", "a b", "user@host", "*", "*.svc", "host\r"] {
            assert!(host_flaw(host).is_some(), "{host}");
        }
        assert_eq!(host_flaw("keycloak"), None);
        assert_eq!(host_flaw("[::1]"), None);
    }

    #[test]
    fn a_quoted_url_has_its_port_if_that_is_a_number() {
        for (text, shown) in [
            ("https://host:8443/token", "https://host:8443/token"),
            ("https://host:/token", "https://host:/token"),
            ("https://user:8443hush/token", "https://user:../token"),
            ("https://user:8443@host:80?hush", "..@host:80"),
        ] {
            assert_eq!(Quoted(text).to_string(), format!("{shown:?}"));
        }
    }

    #[test]
    fn a_url_without_a_path_is_as_written_if_its_query_is() {
        for (text, expected) in [
            ("https://host", true),
            ("https://host?a=b", true),
            ("https://host?a=\"b\"", false),
            ("https://host#a\"b", false),
        ] {
            assert_eq!(is_as_written(text, &Url::parse(text).unwrap()), expected, "{text}");
        }
    }
}
