//! The proxy of a request, for error texts, which would otherwise name the wrong host.

use std::error::Error as StdError;
use std::fmt;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

/// The proxies of an HTTP client, as far as they are known.
pub(super) struct Proxies {
    /// Those that the closure of `HttpClient` has set.
    named: Option<Named>,
    /// Those of the environment, unless the closure has set some or none.
    environment: Option<Matcher>,
}

/// Host and port, by the scheme of the request.
struct Named {
    http: Vec<String>,
    https: Vec<String>,
    /// A closure of the user chooses the proxy.
    is_code: bool,
}

impl Proxies {
    /// Reads them from the `Debug` form, since reqwest has no other way. `client` was made from `builder`.
    pub(super) fn of(builder: &str, client: &reqwest::Client) -> Self {
        let named = Named::read(builder);
        let has_some = lists_proxies(&format!("{client:?}"));
        let environment = (named.is_none() && has_some).then(Matcher::from_env);
        Proxies { named: named.filter(|_| has_some), environment }
    }

    /// The proxy for `url`.
    pub(super) fn before(&self, url: &Url) -> Option<Via> {
        if let Some(named) = &self.named {
            let places = if url.scheme() == "https" { &named.https } else { &named.http };
            let is_any = named.is_code || !places.is_empty();
            let origin = "the HTTP client's own settings".to_owned();
            return is_any.then(|| Via { place: places.join(" or "), origin });
        }
        let uri: Uri = url.as_str().parse().ok()?;
        let proxy = self.environment.as_ref()?.intercept(&uri)?;
        let place = place(proxy.uri());
        // As hyper-util reads them: the more specific variable first, and of two spellings the first that is set, even
        // if it is empty.
        let special =
            if url.scheme() == "https" { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
        let first = |names: [&'static str; 2]| {
            let (name, value) = names.into_iter().find_map(|name| Some((name, std::env::var_os(name)?)))?;
            (!value.is_empty()).then_some(name)
        };
        let origin = match first(special).or_else(|| first(["ALL_PROXY", "all_proxy"])) {
            Some(name) => format!("the environment variable {name}"),
            None => "the system's settings".to_owned(),
        };
        Some(Via { place, origin })
    }
}

/// Whether the `Debug` form of a builder, or of a client, has proxies.
pub(super) fn lists_proxies(debug: &str) -> bool {
    debug.contains("proxies: [")
}

impl Named {
    /// Reads `proxies: [Matcher { http: Intercept { uri: .. }, https: Intercept { uri: .. } }, _]`, in which `_` is a
    /// closure.
    fn read(debug: &str) -> Option<Self> {
        let (_, list) = debug.split_once("proxies: [")?;
        let places = |before: &str| {
            let mut places = Vec::new();
            for (_, uri) in list.match_indices(before).map(|(at, _)| list.split_at(at + before.len())) {
                let uri = uri.split([' ', ',', '}']).next().unwrap_or_default();
                let place = uri.parse().map(|uri| place(&uri)).unwrap_or_default();
                if !place.is_empty() && !places.contains(&place) {
                    places.push(place);
                }
            }
            places
        };
        Some(Named {
            http: places(" http: Intercept { uri: "),
            https: places(" https: Intercept { uri: "),
            is_code: list.starts_with('_') || list.contains(", _"),
        })
    }
}

/// Host and port, without credentials.
fn place(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().or(match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        Some(scheme) if scheme.starts_with("socks") => Some(1080),
        _ => None,
    });
    port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A proxy, and where it is configured.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Via {
    place: String,
    origin: String,
}

impl Via {
    /// Whether the connection to the proxy failed, not the one through it.
    pub(super) fn has_failed_itself(e: &(dyn StdError + 'static)) -> bool {
        const AT_THE_PROXY: [&str; 2] = [
            "tunnel error: failed to create underlying connection",
            "SOCKS error: failed to create underlying connection",
        ];
        std::iter::successors(Some(e), |e| (*e).source())
            .any(|level| AT_THE_PROXY.iter().any(|text| level.to_string().contains(text)))
    }

    /// Which of the two could not be reached: the proxy, or the server through it. `server` is the server's host.
    pub(super) fn blame(&self, e: &(dyn StdError + 'static), server: &str) -> String {
        let chain: Vec<String> = std::iter::successors(Some(e), |e| (*e).source()).map(ToString::to_string).collect();
        let says = |text: &str| chain.iter().any(|level| level.contains(text));
        // Texts of hyper-util, whose error types are private.
        if says("unsupported scheme") {
            format!("the scheme of the proxy is not supported, {self}: for socks enable reqwest's feature socks")
        } else if Via::has_failed_itself(e) {
            format!("the proxy itself could not be reached, {self}")
        } else if says("proxy authorization required") {
            format!("the proxy requires credentials (407), {self}: put user and password there")
        } else if says("tunnel error: unsuccessful") {
            format!("the proxy was reached, but refused to connect to {server} or could not, {self}")
        } else if says("tunnel error") || says("SOCKS error") {
            format!("the proxy was reached, but did not connect to {server}, {self}")
        } else {
            format!("by way of a proxy, {self}")
        }
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => write!(f, "which code in {} chooses", self.origin),
            place => write!(f, "{place} from {}", self.origin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(builder: fn() -> reqwest::ClientBuilder) -> Proxies {
        Proxies::of(&format!("{:?}", builder()), &builder().build().unwrap())
    }

    fn before(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.before(&Url::parse(url).unwrap()).map(|via| via.to_string())
    }

    #[test]
    fn a_proxy_from_the_closure_is_named_without_its_credentials() {
        // FB12: this test fails when reqwest changes the `Debug` form of its builder.
        for (builder, expected) in [
            (
                (|| reqwest::Client::builder().proxy(reqwest::Proxy::all("http://me:hush@proxy.corp:3128").unwrap()))
                    as fn() -> reqwest::ClientBuilder,
                "proxy.corp:3128 from the HTTP client's own settings",
            ),
            (
                || reqwest::Client::builder().proxy(reqwest::Proxy::https("https://[::1]").unwrap()),
                "[::1]:443 from the HTTP client's own settings",
            ),
            (
                || {
                    let proxies = ["http://one", "http://two", "http://one"].map(reqwest::Proxy::https);
                    proxies.into_iter().fold(reqwest::Client::builder(), |builder, proxy| builder.proxy(proxy.unwrap()))
                },
                "one:80 or two:80 from the HTTP client's own settings",
            ),
            (
                || reqwest::Client::builder().proxy(reqwest::Proxy::custom(|_| None::<Url>)),
                "which code in the HTTP client's own settings chooses",
            ),
        ] {
            assert_eq!(before(&proxies(builder), "https://auth.example.com").as_deref(), Some(expected));
            assert!(lists_proxies(&format!("{:?}", builder())));
        }
        assert!(!lists_proxies(&format!("{:?}", reqwest::Client::builder())));
        let http_only = || reqwest::Client::builder().proxy(reqwest::Proxy::http("http://proxy.corp").unwrap());
        for builder in [(|| reqwest::Client::builder().no_proxy()) as fn() -> reqwest::ClientBuilder, http_only] {
            assert_eq!(before(&proxies(builder), "https://auth.example.com"), None);
        }
        let via = before(&proxies(http_only), "http://keycloak/token");
        assert_eq!(via.as_deref(), Some("proxy.corp:80 from the HTTP client's own settings"));
    }

    #[test]
    fn the_port_of_a_proxy_is_the_usual_one_of_its_scheme_unless_it_is_given() {
        for (uri, shown) in [
            ("http://me:hush@proxy.corp", "proxy.corp:80"),
            ("https://proxy.corp", "proxy.corp:443"),
            ("socks5://proxy.corp", "proxy.corp:1080"),
            ("socks4a://proxy.corp:9050", "proxy.corp:9050"),
            ("ftp://proxy.corp", "proxy.corp"),
        ] {
            assert_eq!(place(&uri.parse().unwrap()), shown, "{uri}");
        }
    }

    #[test]
    fn a_proxy_from_the_environment_is_found_unless_the_client_ignores_it() {
        assert!(proxies(reqwest::Client::builder).environment.is_some());
        assert!(proxies(|| reqwest::Client::builder().no_proxy()).environment.is_none());
        let matcher = Matcher::builder().https("http://me:hush@proxy.corp:8080").no("internal.example").build();
        let proxies = Proxies { named: None, environment: Some(matcher) };
        let via = before(&proxies, "https://auth.example.com").unwrap();
        assert!(via.starts_with("proxy.corp:8080 from ") && !via.contains("hush"), "{via}");
        assert_eq!(before(&proxies, "https://internal.example/token"), None);
    }
}
