//! The user's settings: which requests get the token, in which header, and which responses reject it (no I/O).

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::origin::{Origin, Target};
use super::refusals::{Refusals, Said, says_scope};
use crate::contained::contained;
use crate::error::{Error, ErrorKind};
use crate::event::event;
use crate::once::Once;
use crate::token::AccessToken;
use crate::verdict::{is_grpc_unauthenticated, refuses};

pub(super) type Predicate = dyn Fn(StatusCode, &HeaderMap) -> bool + Send + Sync;
pub(super) type BodyPredicate = dyn Fn(StatusCode, &HeaderMap, &[u8]) -> bool + Send + Sync;

#[derive(Default)]
pub(super) struct Policy {
    pub(super) origins: Vec<Origin>,
    pub(super) pass_through: bool,
    /// `None`: `Authorization`, with the token's own scheme.
    pub(super) carrier: Option<Carrier>,
    pub(super) rejected_when: Option<Arc<Predicate>>,
    pub(super) rejected_when_body: Option<(usize, Arc<BodyPredicate>)>,
    pub(super) repeat: bool,
    pub(super) replacement_timeout: Duration,
    /// `fn(&B) -> Option<B>` for different `B`.
    #[cfg_attr(not(feature = "tower"), expect(dead_code, reason = "bodies of tower"))]
    pub(super) copies: Vec<Arc<dyn Any + Send + Sync>>,
    /// Whether it was reported that a request is not repeated.
    pub(super) unrepeated: Once,
    /// Whether it was reported that a redirect has taken a header of ours along.
    pub(super) taken_along: Once,
    pub(super) refusals: Refusals,
}

/// A header other than `Authorization: Bearer`.
#[derive(Clone)]
pub(super) struct Carrier {
    pub(super) header: HeaderName,
    /// If it is empty, the value is the token alone.
    pub(super) scheme: String,
}

/// The destination of a request with our token.
#[derive(Debug, PartialEq)]
pub(super) struct Place {
    /// The index of the configured origin.
    origin: usize,
    /// The subdomain, if the origin is a domain.
    host: Option<Box<str>>,
}

/// The parts of a response that are inspected.
pub(super) struct Answer<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    /// The URL that it came from after redirects, if the stack reports it.
    pub(super) from: Option<Target<'a>>,
}

impl Policy {
    /// The token of a request was rejected or lacks a scope, and there is no copy of the request.
    pub(super) fn note_unrepeated(&self) {
        if self.repeat && self.unrepeated.first() {
            event!(
                info,
                "the API refused a request that is not repeated, since its body cannot be copied: with reqwest, use a body \
                 that is not a stream; with the tower layer, set clone_body or buffer_body"
            );
        }
    }

    /// reqwest removes only these headers when a redirect leads to another origin.
    pub(super) fn is_kept_from_others(&self) -> bool {
        matches!(*self.header(), AUTHORIZATION | PROXY_AUTHORIZATION)
    }

    /// A redirect to another origin has taken a header of ours along.
    #[cold]
    pub(super) fn note_taken_along(&self) {
        if self.taken_along.first() {
            event!(
                warn,
                "a request was redirected to another origin, and the HTTP client has sent the header with the token, or the \
                 DPoP proof, along: build it with redirect(Policy::none())"
            );
        }
    }

    /// An API rejected `token`; `again`: also after the request was repeated.
    pub(super) fn note_refused(&self, place: &Place, token: &AccessToken, said: &Said, again: bool) {
        if self.refusals.refused(place.origin, token, again) {
            self.report(place, token, said);
        }
    }

    /// Reports that the scope of `token` does not suffice, if the response says so. A new token of the source would not
    /// help.
    #[cold]
    pub(super) fn note_scope(&self, place: &Place, token: &AccessToken, answer: &Answer<'_>) {
        let is_about_scope = says_scope(&self.schemes(token), answer.status, answer.headers);
        if is_about_scope && self.refusals.lacks_scope(place.origin, token) {
            self.report(place, token, &self.said(token, None, answer));
        }
    }

    fn report(&self, place: &Place, token: &AccessToken, said: &Said) {
        let api = self.origins.get(place.origin).map(|origin| format!("{origin:?}"));
        said.emit(api.as_deref().unwrap_or_default(), token);
    }

    /// What a response says about `token`, and perhaps about the one before it.
    pub(super) fn said(&self, token: &AccessToken, before: Option<&AccessToken>, answer: &Answer<'_>) -> Said {
        Said::read(&self.schemes(token), answer.status, answer.headers, [token].into_iter().chain(before))
    }

    /// The schemes of challenges that are about `token`: its own, and that of its header.
    #[inline]
    fn schemes<'t>(&'t self, token: &AccessToken) -> [&'t str; 2] {
        let own = token.scheme();
        [own, self.carrier.as_ref().map_or(own, |carrier| &carrier.scheme)]
    }

    /// The destination of a request that gets our token. `None`: the request is sent without it, and its response is
    /// not inspected. An error: the request must not be sent.
    #[inline]
    pub(super) fn admits(&self, headers: &HeaderMap, target: Option<Target<'_>>) -> Result<Option<Place>, Error> {
        // The caller's own header is not changed, and the response is not about our token.
        if headers.contains_key(self.header()) {
            return Ok(None);
        }
        let Some(target) = target else {
            return Err(refused(
                "the request has no scheme and host, so it cannot be checked whether it may carry the token; \
                 give an absolute URI (tonic: Client::with_origin)",
            ));
        };
        match self.origins.iter().position(|origin| origin.contains(target)) {
            Some(origin) => Ok(Some(self.place(origin, target))),
            None if self.pass_through => Ok(None),
            None => Err(self.elsewhere(target)),
        }
    }

    /// Whether the token may go there.
    pub(super) fn is_for(&self, target: Target<'_>) -> bool {
        self.origins.iter().any(|origin| origin.contains(target))
    }

    fn place(&self, origin: usize, target: Target<'_>) -> Place {
        let is_domain = self.origins.get(origin).is_some_and(|origin| origin.is_domain);
        Place { origin, host: is_domain.then(|| target.host().into()) }
    }

    #[cold]
    fn elsewhere(&self, target: Target<'_>) -> Error {
        let secure = |origin: &&Origin| origin.scheme == "https" && origin.has_host(target.host());
        if let (Some(origin), "http") = (self.origins.iter().find(secure), target.scheme()) {
            return refused(format!("a request to {target} is not for {origin:?}: use https"));
        }
        let origins: Vec<_> = self.origins.iter().map(|origin| format!("{origin:?}")).collect();
        refused(format!(
            "a request to {target} is not for {}: these tokens may be sent nowhere else; add .origin(..) to BearerAuth::builder, or \
             .pass_through(true) to send such requests without a token",
            origins.join(" or ")
        ))
    }

    /// Whether a response from `from` comes from the server that the request was sent to. After a redirect to another
    /// one the request had no token.
    pub(super) fn is_from(&self, from: Target<'_>, place: &Place) -> bool {
        self.origins.get(place.origin).is_some_and(|origin| origin.contains(from))
            && place.host.as_ref().is_none_or(|host| host.eq_ignore_ascii_case(from.host()))
    }

    #[inline]
    pub(super) fn header(&self) -> &HeaderName {
        self.carrier.as_ref().map_or(&AUTHORIZATION, |carrier| &carrier.header)
    }

    /// The value of [`header`](Self::header), marked sensitive.
    #[inline]
    pub(super) fn value(&self, token: &AccessToken) -> HeaderValue {
        match &self.carrier {
            None => token.authorization(),
            Some(carrier) => token.presented_as(&carrier.scheme),
        }
    }

    /// Whether status and headers of a response reject `token`; `is_post`: the request was a POST.
    #[inline]
    pub(super) fn says_rejected(&self, token: &AccessToken, is_post: bool, answer: &Answer<'_>) -> bool {
        let Answer { status, headers, .. } = *answer;
        // A panic of the user's closure counts as `false`.
        if self.rejected_when.as_ref().is_some_and(|says| contained(|| says(status, headers)).unwrap_or(false)) {
            return true;
        }
        if status == StatusCode::OK {
            return is_post && is_grpc_unauthenticated(status, headers);
        }
        refuses(&self.schemes(token), *self.header() == PROXY_AUTHORIZATION, status, headers)
    }

    /// How much of the body of a response to inspect; `None`: nothing.
    pub(super) fn looks_at(&self, headers: &HeaderMap) -> Option<usize> {
        let (limit, _) = self.rejected_when_body.as_ref()?;
        let number = |length: &HeaderValue| length.to_str().ok()?.parse::<u64>().ok();
        let is_long = headers.get(CONTENT_LENGTH).and_then(number).is_some_and(|length| length > *limit as u64);
        let label = headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
        let streams = ["text/event-stream", "application/grpc"];
        let is_stream = streams
            .iter()
            .any(|stream| label.get(..stream.len()).is_some_and(|start| start.eq_ignore_ascii_case(stream.as_bytes())));
        (!is_long && !is_stream).then_some(*limit)
    }

    pub(super) fn body_says_rejected(&self, answer: &Answer<'_>, body: &[u8]) -> bool {
        let predicate = self.rejected_when_body.as_ref();
        predicate.is_some_and(|(_, says)| contained(|| says(answer.status, answer.headers, body)).unwrap_or(false))
    }
}

fn refused(text: impl Into<Cow<'static, str>>) -> Error {
    Error::of(ErrorKind::Configuration, text)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::super::BearerAuth;
    use super::*;

    fn token() -> AccessToken {
        AccessToken::builder("abc").build().unwrap()
    }

    fn answer(status: StatusCode, headers: &HeaderMap) -> Answer<'_> {
        Answer { status, headers, from: None }
    }

    /// The index of the origin at which the token is sent to `url`, or the reason why the request is not sent.
    fn admitted(bearer: &BearerAuth, url: &str) -> Result<Option<usize>, String> {
        let url = Url::parse(url).unwrap();
        let admitted = bearer.policy().admits(&HeaderMap::new(), Target::of_url(&url));
        admitted.map(|place| place.map(|place| place.origin)).map_err(|e| e.to_string())
    }

    #[test]
    fn a_token_goes_to_its_origins_and_nowhere_else() {
        let builder = || {
            BearerAuth::builder(token())
                .origin("https://api.example.com")
                .origin("http://keycloak:8080/base/")
                .origin("http://localhost")
                .domain("blob.example.com")
                .dangerously_allow_http("keycloak")
        };
        let strict = builder().build().unwrap();
        for (url, number) in [
            ("https://api.example.com/a", 0),
            ("https://api.example.com:443", 0),
            ("http://keycloak:8080/a", 1),
            ("http://localhost/a", 2),
            ("http://localhost:80/a", 2),
            ("https://red.blob.example.com/a", 3),
        ] {
            assert_eq!(admitted(&strict, url), Ok(Some(number)), "{url}");
        }
        for (url, reason) in [
            ("http://api.example.com/a", "use https"),
            ("http://red.blob.example.com/a", "use https"),
            ("http://other.example/a", ".pass_through(true)"),
            ("https://keycloak:8080/a", ".pass_through(true)"),
            ("https://api.example.com:8443/a", ".pass_through(true)"),
            ("mailto:a@b", "absolute URI"),
        ] {
            let text = admitted(&strict, url).unwrap_err();
            assert!(text.contains(reason), "{url}: {text}");
        }
        let open = builder().pass_through(true).build().unwrap();
        assert_eq!(admitted(&open, "http://other.example/a"), Ok(None));
        assert!(admitted(&open, "mailto:a@b").is_err());
    }

    #[test]
    fn a_response_counts_if_it_is_from_the_server_of_the_request() {
        let bearer = BearerAuth::builder(token()).origin("https://api.example.com").domain("blob.example.com");
        let bearer = bearer.build().unwrap();
        let is_from = |asked: &str, answered: &str| {
            let (asked, answered) = (Url::parse(asked).unwrap(), Url::parse(answered).unwrap());
            let place = bearer.policy().admits(&HeaderMap::new(), Target::of_url(&asked)).unwrap().unwrap();
            bearer.policy().is_from(Target::of_url(&answered).unwrap(), &place)
        };
        assert!(is_from("https://api.example.com/a", "https://api.example.com/b"));
        assert!(!is_from("https://api.example.com/a", "https://red.blob.example.com/b"));
        assert!(is_from("https://red.blob.example.com/a", "https://RED.blob.example.com/b"));
        assert!(!is_from("https://red.blob.example.com/a", "https://blue.blob.example.com/b"));
    }

    #[test]
    fn the_token_goes_in_the_configured_header() {
        // FD2
        for (header, scheme, expected) in [
            ("x-amz-access-token", "", "abc"),
            ("Proxy-Authorization", "Bearer", "Bearer abc"),
            ("authorization", "Zoho-oauthtoken", "Zoho-oauthtoken abc"),
        ] {
            let bearer = BearerAuth::builder(token()).origin("https://api.example.com").header(header, scheme);
            let bearer = bearer.build().unwrap();
            let value = bearer.policy().value(&token());
            assert!(bearer.policy().header().as_str().eq_ignore_ascii_case(header));
            assert_eq!(value, expected);
            assert!(value.is_sensitive());
            let own: HeaderMap = [(bearer.policy().header().clone(), value)].into_iter().collect();
            let url = Url::parse("https://api.example.com").unwrap();
            assert_eq!(bearer.policy().admits(&own, Target::of_url(&url)).unwrap(), None, "the caller's own");
        }
    }

    #[test]
    fn a_challenge_for_the_configured_scheme_counts() {
        // FD2
        let bearer =
            BearerAuth::builder(token()).origin("https://a.example").header("authorization", "Zoho-oauthtoken");
        let bearer = bearer.build().unwrap();
        let says = |challenge: &'static str| {
            let headers = [(http::header::WWW_AUTHENTICATE, challenge.parse().unwrap())].into_iter().collect();
            bearer.policy().says_rejected(&token(), false, &answer(StatusCode::UNAUTHORIZED, &headers))
        };
        assert!(says("Zoho-oauthtoken error=invalid_token"));
        assert!(!says("Zoho-oauthtoken error=insufficient_scope"));
        assert!(!says("Bearer error=insufficient_scope"));
    }

    #[test]
    fn a_predicate_of_the_user_adds_rejections() {
        let bearer = BearerAuth::builder(token()).origin("https://api.example.com").rejected_when(|status, headers| {
            assert!(status != StatusCode::IM_A_TEAPOT, "a panic is contained");
            status == StatusCode::FORBIDDEN && headers.contains_key("x-token-expired")
        });
        let bearer = bearer.build().unwrap();
        let expired: HeaderMap = [("x-token-expired".parse().unwrap(), "1".parse().unwrap())].into_iter().collect();
        let says =
            |status, headers: &HeaderMap| bearer.policy().says_rejected(&token(), false, &answer(status, headers));
        assert!(says(StatusCode::FORBIDDEN, &expired));
        assert!(!says(StatusCode::FORBIDDEN, &HeaderMap::new()));
        assert!(says(StatusCode::UNAUTHORIZED, &HeaderMap::new()));
        assert!(!says(StatusCode::IM_A_TEAPOT, &expired));
    }

    #[test]
    fn only_short_bodies_are_inspected_and_only_if_that_is_set() {
        // FD4
        let asks = BearerAuth::builder(token()).origin("https://api.example.com");
        let asks = asks.rejected_when_body(100, |_, _, _| true).build().unwrap();
        let never = BearerAuth::for_origin("https://api.example.com", token()).unwrap();
        for (name, value, expected) in [
            ("content-length", "100", Some(100)),
            ("content-length", "101", None),
            ("content-length", "many", Some(100)),
            ("content-type", "application/json", Some(100)),
            ("content-type", "Text/Event-Stream; charset=utf-8", None),
            ("content-type", "application/grpc+proto", None),
        ] {
            let headers: HeaderMap = [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect();
            assert_eq!(asks.policy().looks_at(&headers), expected, "{name}: {value}");
            assert_eq!(never.policy().looks_at(&headers), None);
        }
    }

    #[test]
    fn a_body_rejects_the_token_if_the_user_says_so() {
        let bearer = BearerAuth::builder(token()).origin("https://api.example.com").rejected_when_body(
            100,
            |status, _, body| {
                assert!(body != b"panic", "a panic is contained");
                status == StatusCode::OK && body == b"expired"
            },
        );
        let bearer = bearer.build().unwrap();
        let never = BearerAuth::for_origin("https://api.example.com", token()).unwrap();
        for (status, body, rejected) in [
            (StatusCode::OK, &b"expired"[..], true),
            (StatusCode::OK, b"fine", false),
            (StatusCode::FORBIDDEN, b"expired", false),
            (StatusCode::OK, b"panic", false),
        ] {
            let headers = HeaderMap::new();
            let says = |bearer: &BearerAuth| bearer.policy().body_says_rejected(&answer(status, &headers), body);
            assert_eq!((says(&bearer), says(&never)), (rejected, false), "{status} {body:?}");
        }
    }

    #[test]
    fn a_407_counts_for_a_token_that_is_for_the_proxy() {
        // FD2
        for (header, rejected) in [("proxy-authorization", true), ("x-api-key", false), ("authorization", false)] {
            let bearer =
                BearerAuth::builder(token()).origin("https://a.example").header(header, "Bearer").build().unwrap();
            let headers = HeaderMap::new();
            let answer = answer(StatusCode::PROXY_AUTHENTICATION_REQUIRED, &headers);
            assert_eq!(bearer.policy().says_rejected(&token(), false, &answer), rejected, "{header}");
        }
    }

    #[test]
    fn a_redirect_to_another_of_the_origins_is_one_of_ours() {
        let builder = BearerAuth::builder(token()).origin("https://api.example.com").domain("blob.example.com");
        let bearer = builder.build().unwrap();
        for (url, ours) in [
            ("https://api.example.com/a", true),
            ("https://red.blob.example.com/a", true),
            ("https://evil.example/a", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(bearer.policy().is_for(Target::of_url(&url).unwrap()), ours, "{url}");
        }
    }

    #[cfg(feature = "tracing")]
    #[test]
    fn what_is_unusual_about_requests_is_reported_once() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};

        use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
        struct Reports(Arc<AtomicUsize>);
        impl<S: tracing::Subscriber> Layer<S> for Reports {
            fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let reports = |repeat: bool, note: fn(&Policy)| {
            let count = Arc::new(AtomicUsize::new(0));
            let bearer = BearerAuth::builder(token()).origin("https://api.example.com").repeat(repeat).build().unwrap();
            let subscriber = tracing_subscriber::registry().with(Reports(Arc::clone(&count)));
            tracing::subscriber::with_default(subscriber, || (0..3).for_each(|_| note(bearer.policy())));
            count.load(Ordering::Relaxed)
        };
        assert_eq!((reports(true, Policy::note_unrepeated), reports(false, Policy::note_unrepeated)), (1, 0));
        assert_eq!(reports(true, Policy::note_taken_along), 1);
    }
}
