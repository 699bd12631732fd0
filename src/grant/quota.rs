//! The number of requests sent to the token endpoint, and the rate limits that it reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;

use crate::lock::Lock;
use crate::server_text::Masks;

/// The rate limits of the token endpoint, from the last response that reported any: headers that begin with `RateLimit`,
/// `X-RateLimit` or `X-Rate-Limit` (Okta, Auth0, many gateways), and Auth0's `Auth0-Client-Quota-Limit` and
/// `Auth0-Organization-Quota-Limit`.
///
/// ```
/// # fn watch(tokens: &client_credentials::ClientCredentials) {
/// if let Some(quota) = tokens.quota() {
///     // Auth0: `b=per_hour;q=10;r=7;t=3540,b=per_day;q=50;r=47;t=43200`
///     println!(
///         "{:?}, {:?} left",
///         quota.header("auth0-client-quota-limit"),
///         quota.remaining()
///     );
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota(Arc<[(Box<str>, Box<str>)]>);

impl Quota {
    /// Returns the value of a header, ignoring case; the first one if it was sent several times.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers();
        all.find_map(|(one, value)| one.eq_ignore_ascii_case(name).then_some(value))
    }

    /// Returns the names, in lower case, and the values, cut to 256 characters of printable ASCII.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns how many more requests or tokens are allowed, by the tightest limit that states it.
    ///
    /// Read from `..-Remaining`, and from `r` or `remaining` in Auth0's and in `RateLimit`
    /// (draft-ietf-httpapi-ratelimit-headers).
    pub fn remaining(&self) -> Option<u64> {
        self.headers()
            .flat_map(|(name, value)| {
                let plain = name.ends_with("-remaining");
                value.split([',', ';']).filter_map(move |part| {
                    let named = || ["r=", "remaining="].iter().find_map(|name| part.trim().strip_prefix(*name));
                    let number = if plain { part } else { named()? };
                    number.trim().parse::<u64>().ok()
                })
            })
            .min()
    }

    /// `None` if no limit is reported.
    pub(crate) fn of(headers: &HeaderMap, masks: &Masks) -> Option<Self> {
        /// Further headers are ignored.
        const MOST: usize = 16;
        /// A policy (`"default";q=100;w=60`) has some tens of characters.
        const LONGEST: usize = 256;
        let named = |name: &str| {
            ["ratelimit", "x-ratelimit", "x-rate-limit"].iter().any(|start| name.starts_with(start))
                || matches!(name, "auth0-client-quota-limit" | "auth0-organization-quota-limit")
        };
        let said: Arc<[_]> = headers
            .iter()
            .filter(|(name, _)| named(name.as_str()) && !masks.hide(name.as_str()))
            .filter_map(|(name, value)| {
                let value = masks.clean(value.to_str().ok()?, LONGEST);
                Some((name.as_str().into(), value.into()))
            })
            .take(MOST)
            .collect();
        (!said.is_empty()).then_some(Quota(said))
    }
}

/// Counts requests, and stores the last rate limits.
#[derive(Default)]
pub(crate) struct Ledger {
    requests: AtomicU64,
    quota: Lock<Option<Quota>>,
}

impl Ledger {
    pub(super) fn asks(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn hears(&self, headers: &HeaderMap, masks: &Masks) {
        if let Some(quota) = Quota::of(headers, masks) {
            *self.quota.lock() = Some(quota);
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn quota(&self) -> Option<Quota> {
        self.quota.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn quota(headers: &[(&'static str, &'static str)]) -> Option<Quota> {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
        Quota::of(&headers, &Masks::new(vec!["hush-hush".to_owned().into()]))
    }

    #[test]
    fn remaining_is_that_of_the_tightest_limit() {
        for (headers, remaining) in [
            (&[("x-rate-limit-remaining", "1199"), ("x-rate-limit-limit", "1200")][..], Some(1199)),
            (&[("x-ratelimit-remaining", " 0")], Some(0)),
            (&[("auth0-client-quota-limit", "b=per_hour;q=10;r=7;t=3540,b=per_day;q=50;r=3;t=43200")], Some(3)),
            (&[("ratelimit", "\"default\";r=50;t=30")], Some(50)),
            (&[("ratelimit", "limit=100, remaining=50, reset=5")], Some(50)),
            (&[("x-ratelimit-remaining", "many"), ("x-ratelimit-limit", "5")], None),
        ] {
            assert_eq!(quota(headers).unwrap().remaining(), remaining, "{headers:?}");
        }
    }

    #[test]
    fn a_ledger_keeps_the_last_quota_and_counts_requests() {
        let ledger = Ledger::default();
        let heard = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
            ledger.hears(&headers, &Masks::new(Vec::new()));
            ledger.quota().and_then(|quota| quota.remaining())
        };
        ledger.asks();
        assert_eq!(heard("x-request-id", "1"), None);
        assert_eq!(heard("x-ratelimit-remaining", "7"), Some(7));
        assert_eq!(heard("x-request-id", "1"), Some(7));
        assert_eq!(ledger.requests(), 1);
    }

    #[test]
    fn without_headers_there_is_no_quota() {
        assert_eq!(quota(&[("retry-after", "5"), ("x-request-id", "1")]), None);
    }

    #[test]
    fn a_header_is_found_in_any_case_and_shows_no_secret() {
        let said = quota(&[("x-ratelimit-policy", "hush-hush and \"quoted\"")]).unwrap();
        assert_eq!(said.header("X-RateLimit-Policy"), Some("*** and quoted"));
        assert_eq!(said.header("x-ratelimit-limit"), None);
        assert_eq!(quota(&[("x-ratelimit-hush-hush", "1")]), None);
    }

    proptest! {
        #[test]
        fn the_number_and_size_of_quota_headers_is_bounded(values in proptest::collection::vec("[ -~]{0,600}", 0..40)) {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append("ratelimit", HeaderValue::from_str(value).unwrap());
            }
            if let Some(quota) = Quota::of(&headers, &Masks::new(Vec::new())) {
                prop_assert!(quota.headers().count() <= 16);
                prop_assert!(quota.headers().all(|(_, value)| value.len() <= 256));
                let _ = quota.remaining();
            }
        }
    }
}
