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

    pub(super) fn route(&self, url: &Url) -> Route {
        match self.before(url) {
            Some(via) => Route::By(via),
            None => Route::Direct { unused: self.unused(url) },
        }
    }

    /// The proxy for `url`.
    fn before(&self, url: &Url) -> Option<Via> {
        if let Some(named) = &self.named {
            let places = if url.scheme() == "https" { &named.https } else { &named.http };
            let is_any = named.is_code || !places.is_empty();
            let origin = "the HTTP client's own settings".to_owned();
            return is_any.then(|| Via { place: places.join(" or "), origin });
        }
        let uri: Uri = url.as_str().parse().ok()?;
        let proxy = self.environment.as_ref()?.intercept(&uri)?;
        let origin = match env_proxy(url, variable) {
            Some(EnvProxy::Used(name)) => format!("the environment variable {name}"),
            _ => "the system's settings".to_owned(),
        };
        Some(Via { place: place(proxy.uri()), origin })
    }

    /// Why a proxy that the environment names is not used for `url`.
    fn unused(&self, url: &Url) -> Option<String> {
        self.environment.as_ref()?;
        match env_proxy(url, variable)? {
            EnvProxy::Unused(why) => Some(why),
            EnvProxy::Used(_) => None,
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A proxy that the environment names.
#[derive(Debug, PartialEq, Eq)]
enum EnvProxy {
    /// By this variable.
    Used(&'static str),
    /// The reason.
    Unused(String),
}

/// As hyper-util reads them: the more specific variable first, and of two spellings the first that is set, even if it is
/// empty. A value that is not the URL of a proxy counts for nothing, without a report.
fn env_proxy(url: &Url, var: impl Fn(&str) -> Option<String>) -> Option<EnvProxy> {
    let uri: Uri = url.as_str().parse().ok()?;
    let special = if url.scheme() == "https" { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    let first = |names: [&'static str; 2]| {
        let (name, value) = names.into_iter().find_map(|name| Some((name, var(name)?)))?;
        (!value.is_empty()).then_some((name, value))
    };
    let set: Vec<_> = [special, ["ALL_PROXY", "all_proxy"]].into_iter().filter_map(first).collect();
    let (except, hosts) = first(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    let is_used =
        |value: &str, except: &str| Matcher::builder().all(value).no(except).build().intercept(&uri).is_some();
    match (set.iter().find(|(_, value)| is_used(value, "")), set.first()) {
        (Some((name, value)), _) if is_used(value, &hosts) => Some(EnvProxy::Used(name)),
        (Some((name, _)), _) => {
            Some(EnvProxy::Unused(format!("{except} has this host, so the proxy of {name} is not used")))
        }
        // The value is not quoted, since it may have a password.
        (None, Some((name, _))) => {
            let why = "is not the URL of a proxy, and therefore not used: give http://host:port, without quotes";
            Some(EnvProxy::Unused(format!("the environment variable {name} {why}")))
        }
        (None, None) => None,
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

/// How a request goes to its server.
#[derive(Debug)]
pub(crate) enum Route {
    Direct {
        /// Why a proxy that the environment names is not used.
        unused: Option<String>,
    },
    By(Via),
}

/// A proxy, and where it is configured.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Via {
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
            (
                || {
                    let http_only = reqwest::Proxy::http("http://one").unwrap();
                    reqwest::Client::builder().proxy(http_only).proxy(reqwest::Proxy::custom(|_| None::<Url>))
                },
                "which code in the HTTP client's own settings chooses",
            ),
        ] {
            assert_eq!(before(&proxies(builder), "https://auth.example.com").as_deref(), Some(expected));
            assert!(lists_proxies(&format!("{:?}", builder())));
            assert!(proxies(builder).environment.is_none());
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
    fn a_proxy_that_cannot_be_read_has_no_place() {
        let named = Named::read("proxies: [Matcher { http: Intercept { uri: {, https: Intercept { uri: http://one, }]");
        let named = named.unwrap();
        assert_eq!((named.http, named.https, named.is_code), (Vec::new(), vec!["one:80".to_owned()], false));
    }

    #[test]
    fn a_failure_is_blamed_on_the_proxy_or_on_the_connection_through_it() {
        #[derive(Debug)]
        struct Level(&'static str, Option<Box<Level>>);
        impl fmt::Display for Level {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }
        impl StdError for Level {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                self.1.as_deref().map(|level| level as _)
            }
        }
        let via = Via { place: "proxy:1080".to_owned(), origin: "the environment variable ALL_PROXY".to_owned() };
        for (text, blamed, has_failed_itself) in [
            ("tunnel error: failed to create underlying connection", "the proxy itself could not be reached", true),
            ("SOCKS error: failed to create underlying connection", "the proxy itself could not be reached", true),
            ("tunnel error: unsuccessful", "but refused to connect to auth.example or could not", false),
            ("tunnel error: io error", "but did not connect to auth.example", false),
            ("SOCKS error: general server failure", "but did not connect to auth.example", false),
            ("tunnel error: proxy authorization required", "requires credentials (407)", false),
            ("unsupported scheme socks5", "enable reqwest's feature socks", false),
            ("connection reset", "by way of a proxy", false),
        ] {
            let chain = Level(
                "error sending request",
                Some(Box::new(Level("client error", Some(Box::new(Level(text, None)))))),
            );
            let told = via.blame(&chain, "auth.example");
            assert!(told.contains(blamed), "{text}: {told}");
            assert!(told.contains("proxy:1080 from the environment variable ALL_PROXY"), "{told}");
            assert_eq!(Via::has_failed_itself(&chain), has_failed_itself, "{text}");
        }
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
    fn a_proxy_of_the_environment_that_is_not_used_is_reported_with_the_reason() {
        // FB13
        let read = |url: &str, vars: &[(&str, &str)]| {
            let var = |name: &str| vars.iter().find(|(one, _)| *one == name).map(|(_, value)| (*value).to_owned());
            env_proxy(&Url::parse(url).unwrap(), var)
        };
        let used = |name| Some(EnvProxy::Used(name));
        let both = [("HTTPS_PROXY", "http://me:hush@proxy:3128"), ("ALL_PROXY", "socks5://other")];
        assert_eq!(read("https://a.example/t", &both), used("HTTPS_PROXY"));
        assert_eq!(read("http://a.example/t", &both), used("ALL_PROXY"));
        assert_eq!(read("http://a.example/t", &[("http_proxy", "p")]), used("http_proxy"));
        assert_eq!(read("http://a.example/t", &[("HTTP_PROXY", "p"), ("http_proxy", "q")]), used("HTTP_PROXY"));
        assert_eq!(read("https://a.example/t", &[("HTTPS_PROXY", "::::"), ("all_proxy", "p")]), used("all_proxy"));
        assert_eq!(read("https://ba.example", &[("https_proxy", "p"), ("no_proxy", "a.example")]), used("https_proxy"));
        for vars in [&[][..], &[("HTTPS_PROXY", ""), ("https_proxy", "p")], &[("HTTP_PROXY", "p"), ("NO_PROXY", "*")]] {
            assert_eq!(read("https://a.example/t", vars), None, "{vars:?}");
        }
        for (vars, why) in [
            (
                [("https_proxy", "p"), ("no_proxy", "x, .example")],
                "no_proxy has this host, so the proxy of https_proxy",
            ),
            ([("ALL_PROXY", "p"), ("NO_PROXY", "*")], "NO_PROXY has this host, so the proxy of ALL_PROXY"),
            ([("HTTPS_PROXY", "p"), ("NO_PROXY", "a.example")], "NO_PROXY has this host, so the proxy of HTTPS_PROXY"),
            ([("HTTPS_PROXY", "\"http://me:hush@p\""), ("", "")], "HTTPS_PROXY is not the URL of a proxy"),
            ([("HTTPS_PROXY", "ftp://me:hush@p"), ("ALL_PROXY", "::::")], "HTTPS_PROXY is not the URL of a proxy"),
            ([("all_proxy", "http//proxy:3128"), ("NO_PROXY", "*")], "all_proxy is not the URL of a proxy"),
        ] {
            match read("https://a.example/t", &vars) {
                Some(EnvProxy::Unused(told)) => {
                    assert!(told.contains(why) && !told.contains("hush"), "{vars:?}: {told}")
                }
                other => panic!("{vars:?}: {other:?}"),
            }
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
