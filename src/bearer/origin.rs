//! The servers that the token is sent to (pure).

use std::fmt;

use url::{Host, Url};

use crate::address;

/// A configured origin, or the subdomains of a configured domain.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) scheme: String,
    /// In the form of the `url` crate, with IPv6 addresses in brackets; for a domain, with a leading dot.
    host: String,
    port: u16,
    /// The host, and the port unless it is the default. The authority of almost every request equals this text.
    authority: String,
    pub(super) is_domain: bool,
}

/// Where a request goes, borrowed from it.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// An `http` or `https` URL, which has a host.
    Url(&'a Url),
    #[cfg(feature = "tower")]
    Uri(&'a http::uri::Scheme, &'a http::uri::Authority),
}

impl Origin {
    /// Scheme, host and port (RFC 6454 section 4) of `text`, a base URL. The error states what is wrong with it.
    pub(super) fn parse(text: &str, plain_hosts: &[String]) -> Result<Self, String> {
        if let Some((_, domain)) = text.split_once("://*.") {
            let domain = domain.split(['/', '?', '#']).next().unwrap_or_default();
            return Err(format!(
                "{text:?} has a wildcard, which matches no host: for the subdomains of a domain use .domain({domain:?})"
            ));
        }
        let url = address::secure(text, plain_hosts)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("{} has a query or a fragment: give https://host", address::Shown(&url)));
        }
        Ok(Origin::of(&url, url.host_str().unwrap_or_default().to_owned(), false))
    }

    /// The subdomains of `text`, over `https`, at port 443 or the one that `text` has.
    pub(super) fn domain(text: &str) -> Result<Self, String> {
        let fault = |flaw: &str| Err(format!("{text:?} {flaw}: give a domain such as \"blob.example.com\""));
        if text.contains(['/', '@', '?', '#', '\\', '*', '[']) || text.starts_with('.') || text.ends_with('.') {
            return fault("is more than a domain name; its subdomains are matched without a wildcard");
        }
        let Ok(url) = address::parse(&format!("https://{text}")) else {
            return fault("is not the name of a domain, with or without a port");
        };
        let Some(Host::Domain(domain)) = url.host() else {
            return fault("is an address, which has no subdomains");
        };
        if !domain.contains('.') {
            return fault("is a single label, under which anyone can register domains");
        }
        Ok(Origin::of(&url, format!(".{domain}"), true))
    }

    fn of(url: &Url, host: String, is_domain: bool) -> Self {
        let (scheme, authority) = (url.scheme().to_owned(), url.authority().to_owned());
        Origin { scheme, host, port: url.port_or_known_default().unwrap_or_default(), authority, is_domain }
    }

    #[inline]
    pub(super) fn contains(&self, target: Target<'_>) -> bool {
        #[cfg(feature = "tower")]
        if let Target::Uri(scheme, authority) = target {
            if authority.as_str() == self.authority && !self.is_domain {
                return scheme.as_str() == self.scheme;
            }
        }
        self.scheme == target.scheme()
            && self.has_host(target.host())
            && Some(self.port) == target.port().or_else(|| target.default_port())
    }

    /// Whether it has this host, whatever the scheme and port.
    pub(super) fn has_host(&self, host: &str) -> bool {
        if !self.is_domain {
            // The host of a request is nearly always in lower case, as this one is.
            return self.host == host || self.host.eq_ignore_ascii_case(host);
        }
        // At a label boundary, since the domain begins with the dot.
        let Some((below, end)) = host.len().checked_sub(self.host.len()).and_then(|at| host.split_at_checked(at))
        else {
            return false;
        };
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
        };
        end.eq_ignore_ascii_case(&self.host) && below.split('.').all(is_label)
    }
}

impl<'a> Target<'a> {
    pub(super) fn of_url(url: &'a Url) -> Option<Self> {
        url.has_host().then_some(Target::Url(url))
    }

    #[cfg(feature = "tower")]
    pub(super) fn of_uri(uri: &'a http::Uri) -> Option<Self> {
        Some(Target::Uri(uri.scheme()?, uri.authority()?))
    }

    /// In lower case, which both crates ensure.
    pub(super) fn scheme(self) -> &'a str {
        match self {
            Target::Url(url) => url.scheme(),
            #[cfg(feature = "tower")]
            Target::Uri(scheme, _) => scheme.as_str(),
        }
    }

    pub(super) fn host(self) -> &'a str {
        match self {
            Target::Url(url) => url.host_str().unwrap_or_default(),
            #[cfg(feature = "tower")]
            Target::Uri(_, authority) => authority.host(),
        }
    }

    fn port(self) -> Option<u16> {
        match self {
            Target::Url(url) => url.port(),
            #[cfg(feature = "tower")]
            Target::Uri(_, authority) => authority.port_u16(),
        }
    }

    fn default_port(self) -> Option<u16> {
        match self.scheme() {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        }
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.host())?;
        self.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, if self.is_domain { "*." } else { "" }, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_origin_is_refused() {
        // FA2, FD3
        for (text, flaw) in [
            ("api.example.com", "not an absolute URL"),
            ("", "is empty"),
            ("https://", "no host"),
            ("https:///api", "no host"),
            ("https:host", "not an absolute URL"),
            (" https://api.example.com", "blank"),
            ("https://api.example.com\t", "blank"),
            ("https:\\\\api.example.com", "backslash"),
            ("https://api.example.com:0", "port"),
            ("https://api%2eexample.com", "percent"),
            ("ftp://api.example.com", "https://"),
            ("https://api.example.com?x=1", "query"),
            ("https://api.example.com/v1?x=1", "query"),
            ("https://api.example.com#x", "fragment"),
            ("https://user@api.example.com", "user information"),
            ("mailto:a@b", "not an absolute URL"),
            ("https://*.blob.example.com", ".domain(\"blob.example.com\")"),
            ("https://*.blob.example.com/v1", ".domain(\"blob.example.com\")"),
            ("https://a*.example.com", "placeholder"),
            ("https://{tenant}.blob.example.com", "placeholder"),
            ("http://keycloak:8080", "dangerously_allow_http(\"keycloak\")"),
        ] {
            let error = Origin::parse(text, &[]).expect_err(text);
            assert!(error.contains(flaw), "{text}: {error}");
        }
        assert!(Origin::parse("http://keycloak:8080", &["KeyCloak".to_owned()]).is_ok());
    }

    #[test]
    fn an_invalid_domain_is_refused() {
        // FD3
        for text in [
            "",
            ".",
            "com",
            "localhost",
            "localhost:8443",
            "https://blob.example.com",
            "*.blob.example.com",
            ".blob.example.com",
            "blob.example.com.",
            "blob..example.com",
            "blob.example.com/a",
            "a@blob.example.com",
            "blob.example.com:0",
            "blob.example.com:",
            "127.0.0.1",
            "127.1",
            "[::1]",
            "blob example.com",
            "blob.example.com\n",
            "blob.example.com?x",
            "{tenant}.example.com",
            "blob%2eexample.com",
        ] {
            assert!(Origin::domain(text).is_err(), "{text:?}");
        }
    }

    fn contains(origin: &Origin, url: &str) -> bool {
        let by_url = Url::parse(url).ok().is_some_and(|url| origin.contains(Target::of_url(&url).unwrap()));
        #[cfg(feature = "tower")]
        if let Ok(uri) = url.parse::<http::Uri>() {
            assert_eq!(origin.contains(Target::of_uri(&uri).unwrap()), by_url, "{origin:?} {url}");
        }
        by_url
    }

    #[test]
    fn a_domain_covers_the_hosts_below_it_over_https() {
        // FD3
        let domain = Origin::domain("Blob.Example.com").unwrap();
        assert_eq!(format!("{domain:?}"), "https://*.blob.example.com");
        for (url, expected) in [
            ("https://red.blob.example.com/a", true),
            ("https://RED.BLOB.example.com:443/", true),
            ("https://a.b.blob.example.com/", true),
            ("https://xn--bcher-kva.blob.example.com/", true),
            ("https://blob.example.com/", false),
            ("https://redblob.example.com/", false),
            ("https://red.blob.example.com./", false),
            ("https://red.blob.example.com.evil.example/", false),
            ("https://red.blob.example.com@evil.example/", false),
            ("https://red.blob.example.com:8443/", false),
            ("http://red.blob.example.com/", false),
            ("https://evil.example/red.blob.example.com", false),
            ("https://example.com/", false),
            ("https://com/", false),
        ] {
            assert_eq!(contains(&domain, url), expected, "{url}");
        }
        let ported = Origin::domain("blob.example.com:8443").unwrap();
        assert!(contains(&ported, "https://red.blob.example.com:8443/"));
        assert!(!contains(&ported, "https://red.blob.example.com/"));
        let idn = Origin::domain("b\u{fc}cher.example").unwrap();
        assert!(contains(&idn, "https://a.xn--bcher-kva.example/"));
        #[cfg(feature = "tower")]
        {
            let uri: http::Uri = "https://a!b.blob.example.com/".parse().unwrap();
            assert!(!domain.contains(Target::of_uri(&uri).unwrap()), "no label");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (origin, uri, expected) in [
            ("https://api.example.com", "https://api.example.com/a?b", true),
            ("https://api.example.com/v1/", "https://api.example.com/v2", true),
            ("https://api.example.com", "https://api.example.com:443/", true),
            ("https://api.example.com:443", "https://API.example.COM/", true),
            ("https://api.example.com", "https://user@api.example.com/", true),
            ("https://api.example.com:8443", "https://api.example.com:8443/", true),
            ("http://127.0.0.1:80", "http://127.0.0.1/", true),
            ("https://[::1]:8443", "https://[::1]:8443/", true),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example/", true),
            ("https://api.example.com", "http://api.example.com/", false),
            ("https://api.example.com", "https://api.example.com:8443/", false),
            ("https://api.example.com", "https://api.example.com.evil.example/", false),
            ("https://api.example.com", "https://evil.example/api.example.com", false),
            ("https://api.example.com", "https://api.example.com@evil.example/", false),
            ("https://api.example.com", "https://api.example.com./", false),
            ("https://api.example.com", "https://a.api.example.com/", false),
        ] {
            assert_eq!(contains(&Origin::parse(origin, &[]).unwrap(), uri), expected, "{origin} {uri}");
        }
    }

    #[test]
    fn a_target_is_shown_as_an_origin() {
        for (url, shown) in [
            ("https://user:hush@api.example.com/a?b", "https://api.example.com"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(Target::of_url(&url).unwrap().to_string(), shown);
        }
    }
}
