//! Which requests the token may go on (pure).

use std::fmt;

use url::Url;

use super::Policy;
use crate::address::is_loopback_host;
use crate::error::{Error, ErrorKind};

/// Scheme, host and port (RFC 6454 section 4); the host as the `url` crate writes it, an IPv6 address in brackets.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    host: String,
    port: u16,
    /// Host, and port if it is not that of the scheme: what the authority of almost every request is, to the letter.
    authority: String,
    is_https: bool,
    is_loopback: bool,
}

/// Where a request goes, borrowed from it.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// Of `http` or `https`, with a host.
    Url(&'a Url),
    #[cfg(feature = "tower")]
    Uri(&'a http::uri::Scheme, &'a http::uri::Authority),
}

impl Origin {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let fault = |flaw: &str| {
            let text = format!("the origin of the API {flaw}: give https://host or https://host:port");
            Err(Error::of(ErrorKind::Configuration, text))
        };
        let Ok(url) = Url::parse(text) else {
            return fault("is not a URL");
        };
        let known = matches!(url.scheme(), "https" | "http");
        let (Some(host), Some(port), true) = (url.host_str(), url.port_or_known_default(), known) else {
            return fault("is not an address of https");
        };
        if !url.username().is_empty() || url.password().is_some() {
            return fault("has user information");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return fault("has a path, which an origin has not");
        }
        Ok(Origin {
            scheme: url.scheme().to_owned(),
            host: host.to_owned(),
            port,
            authority: url.authority().to_owned(),
            is_https: url.scheme() == "https",
            is_loopback: is_loopback_host(host),
        })
    }

    pub(super) fn contains(&self, target: Target<'_>) -> bool {
        #[cfg(feature = "tower")]
        if let Target::Uri(scheme, authority) = target {
            if authority.as_str() == self.authority {
                return scheme.as_str() == self.scheme;
            }
        }
        self.scheme == target.scheme()
            && self.host.eq_ignore_ascii_case(target.host())
            && Some(self.port) == target.port().or_else(|| target.default_port())
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

    /// In lower case: both crates see to that.
    fn scheme(self) -> &'a str {
        match self {
            Target::Url(url) => url.scheme(),
            #[cfg(feature = "tower")]
            Target::Uri(scheme, _) => scheme.as_str(),
        }
    }

    fn host(self) -> &'a str {
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

impl Policy {
    /// As which of the configured origins `target` gets the token; `None`: it gets none. An error if the request must
    /// not be sent at all.
    pub(super) fn admits(&self, target: Option<Target<'_>>) -> Result<Option<usize>, Error> {
        let Some(target) = target else {
            return Err(refused(
                "the request has no scheme and host, so that nobody can tell whether it may carry the token; \
                 give an absolute URI (tonic: Client::with_origin)",
            ));
        };
        let found = self.origins.iter().enumerate().find(|(_, origin)| origin.contains(target));
        let Some((number, origin)) = found else {
            if self.pass_through {
                return Ok(None);
            }
            let secure = |origin: &&Origin| origin.is_https && origin.host.eq_ignore_ascii_case(target.host());
            if let (Some(origin), "http") = (self.origins.iter().find(secure), target.scheme()) {
                return Err(refused(format!("a request to {target} is not for {origin:?}: use https")));
            }
            let origins: Vec<_> = self.origins.iter().map(|origin| format!("{origin:?}")).collect();
            return Err(refused(format!(
                "a request to {target} is not for {}, where alone these tokens may go; add .and_origin(..), or \
                 .pass_through() to send such requests without a token",
                origins.join(" or ")
            )));
        };
        let named = || self.plain_hosts.iter().any(|host| host.eq_ignore_ascii_case(target.host()));
        if origin.is_https || origin.is_loopback || named() {
            return Ok(Some(number));
        }
        Err(refused(format!(
            "a request to {target} would send the token unencrypted: use https, or say dangerously_allow_http({:?})",
            target.host()
        )))
    }

    /// Whether an answer from `from` is one of the configured origin of that number.
    pub(super) fn is_from(&self, from: Target<'_>, origin: usize) -> bool {
        self.origins.get(origin).is_some_and(|origin| origin.contains(from))
    }
}

fn refused(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::of(ErrorKind::Configuration, text)
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.host())?;
        self.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "api.example.com",
            "",
            "https://",
            "ftp://api.example.com",
            "https://api.example.com/v1",
            "https://api.example.com?x=1",
            "https://api.example.com#x",
            "https://user@api.example.com",
            "mailto:a@b",
        ] {
            assert_eq!(Origin::parse(text).err().map(|e| e.kind()), Some(ErrorKind::Configuration), "{text}");
        }
    }

    /// As which of two origins the token goes to `url`, or a part of the reason why not even the request does.
    fn admitted(policy: &Policy, url: &str) -> Result<Option<usize>, String> {
        let url = Url::parse(url).unwrap();
        policy.admits(Target::of_url(&url)).map_err(|e| e.to_string())
    }

    #[test]
    fn a_token_goes_to_its_origins_and_over_plain_http_where_that_was_said_to_be_fine() {
        let origins = ["https://api.example.com", "http://keycloak:8080", "http://localhost"];
        let mut policy = Policy::new(origins.map(|one| Origin::parse(one).unwrap()).to_vec());
        for (url, number) in [
            ("https://api.example.com/a", 0),
            ("https://api.example.com:443", 0),
            ("http://localhost/a", 2),
            ("http://localhost:80/a", 2),
        ] {
            assert_eq!(admitted(&policy, url), Ok(Some(number)), "{url}");
        }
        for (url, reason) in [
            ("http://keycloak:8080/a", "dangerously_allow_http(\"keycloak\")"),
            ("http://api.example.com/a", "use https"),
            ("http://other.example/a", ".pass_through()"),
            ("https://keycloak:8080/a", ".pass_through()"),
            ("https://api.example.com:8443/a", ".pass_through()"),
            ("mailto:a@b", "absolute URI"),
        ] {
            let text = admitted(&policy, url).unwrap_err();
            assert!(text.contains(reason), "{url}: {text}");
        }
        policy.plain_hosts.push("KeyCloak".to_owned());
        assert_eq!(admitted(&policy, "http://keycloak:8080/a"), Ok(Some(1)));
        policy.pass_through = true;
        assert_eq!(admitted(&policy, "http://other.example/a"), Ok(None));
        assert!(admitted(&policy, "mailto:a@b").is_err());
        let own = Url::parse("https://api.example.com/").unwrap();
        let is_from = |origin| policy.is_from(Target::of_url(&own).unwrap(), origin);
        assert!(is_from(0) && !is_from(1) && !is_from(3));
    }

    #[cfg(feature = "tower")]
    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let contains = |origin: &str, uri: &str| {
            let uri: http::Uri = uri.parse().unwrap();
            Origin::parse(origin).unwrap().contains(Target::of_uri(&uri).unwrap())
        };
        for (origin, uri, expected) in [
            ("https://api.example.com", "https://api.example.com/a?b", true),
            ("https://api.example.com", "https://api.example.com:443/", true),
            ("https://api.example.com:443", "https://API.example.COM/", true),
            ("https://api.example.com", "https://user@api.example.com/", true),
            ("https://api.example.com:8443", "https://api.example.com:8443/", true),
            ("http://127.0.0.1:80", "http://127.0.0.1/", true),
            ("https://[::1]:8443", "https://[::1]:8443/", true),
            ("https://bücher.example", "https://xn--bcher-kva.example/", true),
            ("https://api.example.com", "http://api.example.com/", false),
            ("https://api.example.com", "https://api.example.com:8443/", false),
            ("https://api.example.com", "https://api.example.com.evil.example/", false),
            ("https://api.example.com", "https://evil.example/api.example.com", false),
            ("https://api.example.com", "https://api.example.com@evil.example/", false),
            ("https://api.example.com", "https://api.example.com./", false),
        ] {
            assert_eq!(contains(origin, uri), expected, "{origin} {uri}");
        }
    }
}
