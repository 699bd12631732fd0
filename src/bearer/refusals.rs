//! An API that rejects token after token: when to report that, and what the API says.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode;
use secrecy::SecretString;

use crate::challenge::Challenge;
use crate::clock::Moment;
use crate::lock::Lock;
use crate::observer::{Event, emit_unnamed};
use crate::server_text::Masks;
use crate::token::AccessToken;
use crate::verdict::{about, is_grpc_unauthenticated, is_insufficient_scope};

/// 1 min: an API that rejects every token does so with each request.
const PAUSE: Duration = Duration::from_secs(60);
/// 64: an API may reject the tokens of all sources of a pool, which can be thousands. No more are reported within a
/// minute.
const MOST: usize = 64;

/// The latest rejections.
#[derive(Debug, Default)]
pub(super) struct Refusals(Lock<Vec<Refusal>>);

#[derive(Debug)]
struct Refusal {
    /// The index of the configured origin.
    origin: usize,
    /// The name of the source, if it has one.
    source: Option<String>,
    reason: Reason,
    /// The last rejection of a new token.
    at: Moment,
    token: u64,
    reported: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Reason {
    Token,
    Scope,
}

impl Refusals {
    /// `token` was rejected. Returns whether to report that: a token that was fetched after a rejection is rejected,
    /// too, or (`again`) so is the repeated request.
    pub(super) fn refused(&self, origin: usize, token: &AccessToken, again: bool) -> bool {
        self.note(origin, token, Reason::Token, again)
    }

    /// The scope of `token` does not suffice. Returns whether to report that.
    pub(super) fn lacks_scope(&self, origin: usize, token: &AccessToken) -> bool {
        self.note(origin, token, Reason::Scope, true)
    }

    fn note(&self, origin: usize, token: &AccessToken, reason: Reason, again: bool) -> bool {
        let (now, source) = (token.now(), token.observers().map(|observers| observers.name()));
        let mut all = self.0.lock();
        let is_it =
            |one: &&mut Refusal| one.origin == origin && one.source.as_deref() == source && one.reason == reason;
        let Some(refusal) = all.iter_mut().find(is_it) else {
            if all.len() >= MOST {
                all.retain(|one| !one.at.plus(PAUSE).reached(now));
            }
            if all.len() >= MOST {
                return false;
            }
            let (source, reported) = (source.map(Into::into), again.then_some(now));
            all.push(Refusal { origin, source, reason, at: now, token: token.id(), reported });
            return again;
        };
        // A token that is revoked long after it was issued is ordinary, however often that happens.
        let is_new = token.id() != refusal.token
            && refusal.at.reached(token.received())
            && !token.received().plus(PAUSE).reached(now);
        (refusal.at, refusal.token) = (now, token.id());
        let report = (again || is_new) && refusal.reported.is_none_or(|last| last.plus(PAUSE).reached(now));
        if report {
            refusal.reported = Some(now);
        }
        report
    }
}

/// What an API says about a token that it rejects, in its challenge (RFC 6750 section 3) or in the headers of a gRPC
/// response. Sanitised, to be shown.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    status: u16,
    error: Option<String>,
    description: Option<String>,
    scope: Option<String>,
}

impl Said {
    /// `tokens`: those that the API may echo, which are masked.
    pub(super) fn read<'t>(
        schemes: &[&str],
        status: StatusCode,
        headers: &HeaderMap,
        tokens: impl Iterator<Item = &'t AccessToken>,
    ) -> Self {
        /// A code and a sentence, and the names of some tens of scopes.
        const LONGEST: usize = 256;
        const LONGEST_SCOPE: usize = 1024;
        let masks = Masks::new(tokens.map(|token| SecretString::from(token.expose_secret())).collect());
        let clean = |text: &str, most| Some(masks.clean(text.trim(), most)).filter(|text| !text.is_empty());
        let challenge = about(schemes, status, headers);
        let param = |name, most| clean(challenge.as_ref()?.param(name)?, most);
        let scope = challenge.as_ref().and_then(Challenge::scope);
        let grpc_message = || {
            let message = headers.get("grpc-message").filter(|_| is_grpc_unauthenticated(status, headers))?;
            clean(&percent_decode(message.as_bytes()).decode_utf8_lossy(), LONGEST)
        };
        Said {
            status: status.as_u16(),
            error: param("error", LONGEST),
            description: param("error_description", LONGEST).or_else(grpc_message),
            scope: scope.filter(|scope| scope.len() <= LONGEST_SCOPE && !masks.hide(scope)).map(Into::into),
        }
    }

    pub(super) fn lacks_scope(&self) -> bool {
        self.error.as_deref().is_some_and(is_insufficient_scope)
    }

    /// Emits an event to the observers of the source of `token`.
    pub(super) fn emit(&self, api: &str, token: &AccessToken) {
        let error = if self.lacks_scope() { Some(INSUFFICIENT_SCOPE) } else { self.error.as_deref() };
        let (description, scope) = (self.description.as_deref(), self.scope.as_deref());
        let event = Event::ApiRefuses { api, status: self.status, error, description, scope };
        match token.observers() {
            Some(observers) => observers.emit(&event),
            None => emit_unnamed(&event),
        }
    }
}

/// Whether a response says that the scope does not suffice. Takes much less time than reading all that it says.
pub(super) fn says_scope(schemes: &[&str], status: StatusCode, headers: &HeaderMap) -> bool {
    about(schemes, status, headers).is_some_and(|challenge| challenge.param("error").is_some_and(is_insufficient_scope))
}

/// RFC 6750 section 3.1.
const INSUFFICIENT_SCOPE: &str = "insufficient_scope";

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::header::WWW_AUTHENTICATE;
    use proptest::prelude::*;

    use super::*;
    use crate::clock::ManualClock;
    use crate::observer::Observers;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn token(clock: &ManualClock) -> AccessToken {
        AccessToken::builder("secret-token-0f-the-test").clock(clock).build().unwrap()
    }

    fn said(status: u16, headers: &[(&'static str, &str)]) -> [Option<String>; 3] {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let status = StatusCode::from_u16(status).unwrap();
        let tokens = [token(&ManualClock::new()), AccessToken::builder("the/token+before+it").build().unwrap()];
        let said = Said::read(&["Bearer", "Zoho"], status, &headers.collect(), tokens.iter());
        [said.error, said.description, said.scope]
    }

    #[test]
    fn one_refused_token_is_not_reported_but_a_refused_new_one_is() {
        let (clock, refusals) = (ManualClock::new(), Refusals::default());
        let first = token(&clock);
        assert!(!refusals.refused(0, &first, false), "it was revoked, say");
        assert!(!refusals.refused(0, &first, false), "by many requests at once");
        clock.advance(seconds(1));
        let second = token(&clock);
        assert!(refusals.refused(0, &second, false), "whether its request was a repetition or not");
        assert!(!refusals.refused(0, &token(&clock), true), "once");
        clock.advance(seconds(60));
        assert!(refusals.refused(0, &second, true), "a minute later");
    }

    #[test]
    fn occasional_revocations_are_not_reported() {
        let (clock, refusals) = (ManualClock::new(), Refusals::default());
        for _ in 0..5 {
            let token = token(&clock);
            clock.advance(seconds(60));
            assert!(!refusals.refused(0, &token, false));
        }
        // It was issued before the rejection: from a shared store, or for a request that began earlier.
        let early = token(&clock);
        clock.advance(seconds(1));
        assert!(!refusals.refused(1, &token(&clock), false));
        assert!(!refusals.refused(1, &early, false));
    }

    #[test]
    fn each_origin_source_and_reason_is_reported_once_a_minute() {
        let (clock, refusals) = (ManualClock::new(), Refusals::default());
        let of = |name: &str| token(&clock).of_source(&Observers::new(name.to_owned(), Vec::new()));
        for told in [true, false] {
            assert_eq!(refusals.refused(0, &token(&clock), true), told);
            assert_eq!(refusals.refused(1, &token(&clock), true), told);
            assert_eq!(refusals.refused(0, &of("red"), true), told);
            assert_eq!(refusals.refused(0, &of("blue"), true), told);
            assert_eq!(refusals.lacks_scope(0, &of("blue")), told);
        }
    }

    #[test]
    fn thousands_of_sources_cost_bounded_memory_and_reports() {
        let (clock, refusals) = (ManualClock::new(), Refusals::default());
        let of = |number: usize| token(&clock).of_source(&Observers::new(number.to_string(), Vec::new()));
        for minute in 0..2 {
            let told = (0..1000).filter(|number| refusals.refused(0, &of(minute * 1000 + number), true)).count();
            assert_eq!(told, MOST);
            assert_eq!(refusals.0.lock().len(), MOST);
            clock.advance(seconds(60));
        }
    }

    #[test]
    fn error_and_scope_are_read_from_the_challenge_for_our_scheme() {
        let text = |text: &str| Some(text.to_owned());
        let bearer =
            r#"Basic realm="x", Bearer realm="y", error="invalid_token", error_description="no aud", scope="a b""#;
        let all = [text("invalid_token"), text("no aud"), text("a b")];
        assert_eq!(said(401, &[("www-authenticate", bearer)]), all);
        assert_eq!(said(407, &[("proxy-authenticate", bearer), ("www-authenticate", "Bearer error=x")]), all);
        assert_eq!(said(401, &[("www-authenticate", "Zoho error=x")]), [text("x"), None, None]);
        assert_eq!(said(401, &[("www-authenticate", "Basic error=x")]), [None, None, None]);
        assert_eq!(said(401, &[]), [None, None, None]);
        let grpc = [("content-type", "application/grpc"), ("grpc-status", "16"), ("grpc-message", "no%20%1B%0Atoken")];
        assert_eq!(said(200, &grpc), [None, text("no token"), None]);
    }

    #[test]
    fn a_token_that_the_api_echoes_is_not_shown_whole_or_in_part() {
        for (description, shown) in [
            ("got secret-token-0f-the-test here", "got *** here"),
            ("got Bearer the/token+before+it", "got Bearer ***"),
            ("got the%2Ftoken%2Bbefore%2Bit", "got ***"),
            ("got secret-token-0f-..", "got ***.."),
            ("..token-0f-the-test", "..***"),
            ("a secret-token", "a secret-token"),
        ] {
            let challenge = format!("Bearer error=\"{description}\", error_description=\"{description}\"");
            let [error, said, _] = said(401, &[("www-authenticate", &challenge)]);
            assert_eq!((error.as_deref(), said.as_deref()), (Some(shown), Some(shown)), "{description}");
        }
    }

    proptest! {
        #[test]
        fn text_from_an_api_is_short_and_printable(text in "\\PC{0,3000}", name in "error|error_description|scope") {
            let quoted = text.replace(['\\', '"'], "");
            if let Ok(value) = http::HeaderValue::from_str(&format!("Bearer {name}=\"{quoted}\"")) {
                let headers = [(WWW_AUTHENTICATE, value)].into_iter().collect();
                let said = Said::read(&["Bearer"], StatusCode::UNAUTHORIZED, &headers, [].into_iter());
                for text in [said.error, said.description, said.scope].into_iter().flatten() {
                    prop_assert!(text.len() <= 1024 && text.bytes().all(|c| (b' '..=b'~').contains(&c)), "{text}");
                }
            }
        }
    }
}
