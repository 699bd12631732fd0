//! Scopes that a source requests in addition after an API has required them (RFC 6750 section 3.1).

use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};

use crate::lock::Lock;

/// The scopes that the API has required of a source. Integrations report them, and the grant requests them.
pub(crate) struct Demands {
    /// `None`: any scope, since the tokens are for this API only.
    allowed: Option<Vec<String>>,
    scopes: Lock<Scopes>,
    cache: OnceLock<Weak<dyn Renew>>,
}

#[derive(Default)]
struct Scopes {
    /// Part of each request: the server has granted them.
    kept: Vec<String>,
    /// Part of the next request.
    next: Vec<String>,
    /// Part of the request in progress.
    asking: Vec<String>,
    /// The server has refused them since the last refresh.
    refused: Vec<String>,
}

/// The cache of the source.
pub(crate) trait Renew: Send + Sync {
    /// Refreshes the token of this identity, if it is the current one; it stays in use meanwhile. Returns the identity
    /// of the token that is current afterwards.
    fn renew(self: Arc<Self>, id: u64) -> Renewal;

    /// The same without waiting: the next call starts the refresh.
    fn make_due(&self, id: u64);
}

pub(crate) type Renewal = Pin<Box<dyn Future<Output = Option<u64>> + Send>>;

/// 64: APIs require tens of scopes. One that requires another with each response is ignored from then on.
const MOST: usize = 64;

/// Whether the text is a `scope-token` (RFC 6749 section 3.3).
pub(crate) fn is_scope(text: &str) -> bool {
    let allowed = |c: char| matches!(c, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
    !text.is_empty() && text.chars().all(allowed)
}

/// Whether a token that was requested with the scope `asked` should have all scopes of `demanded`.
pub(crate) fn covers(asked: &str, demanded: &str) -> bool {
    of(demanded).all(|scope| of(asked).any(|one| one == scope))
}

fn of(scope: &str) -> impl Iterator<Item = &str> {
    scope.split(' ').filter(|one| !one.is_empty())
}

fn has(scopes: &[String], scope: &str) -> bool {
    scopes.iter().any(|one| one == scope)
}

impl Demands {
    pub(crate) fn new(allowed: Option<Vec<String>>) -> Self {
        Demands { allowed, scopes: Lock::default(), cache: OnceLock::new() }
    }

    /// Sets the cache of the tokens.
    pub(crate) fn bind(&self, cache: Weak<dyn Renew>) {
        // It is set once, when the source is assembled.
        let _ = self.cache.set(cache);
    }

    /// The required scopes that were not requested; `None` if there are none, or if not all of them may be requested.
    fn missing<'a>(&self, asked: &str, demanded: &'a str, scopes: &Scopes) -> Option<Vec<&'a str>> {
        let missing: Vec<_> = of(demanded).filter(|scope| !of(asked).any(|one| one == *scope)).collect();
        let is_allowed = |scope: &str| self.allowed.as_ref().is_none_or(|allowed| has(allowed, scope));
        let may_be_asked = |scope: &&str| is_scope(scope) && is_allowed(scope) && !has(&scopes.refused, scope);
        (!missing.is_empty() && missing.iter().all(may_be_asked)).then_some(missing)
    }

    /// Whether to replace a token for `asked` by one that also has `demanded`.
    pub(crate) fn concerns(&self, asked: &str, demanded: &str) -> bool {
        self.missing(asked, demanded, &self.scopes.lock()).is_some()
    }

    /// Adds the scopes to the next request. Returns whether it, or one since that token, requests them.
    fn note(&self, asked: &str, demanded: &str) -> bool {
        let mut scopes = self.scopes.lock();
        let Some(missing) = self.missing(asked, demanded, &scopes) else {
            return false;
        };
        for scope in missing {
            let is_known = [&scopes.kept, &scopes.next, &scopes.asking].iter().any(|known| has(known, scope));
            if !is_known && scopes.kept.len() + scopes.next.len() + scopes.asking.len() >= MOST {
                return false;
            }
            if !is_known {
                scopes.next.push(scope.to_owned());
            }
        }
        true
    }

    /// Replaces the token `id`, which was requested with the scope `asked`, unless another caller has done so.
    pub(crate) async fn meet(&self, id: u64, asked: &str, demanded: &str) {
        let mut id = id;
        // Twice: a refresh that was in progress was requested without the scope.
        for _ in 0..2 {
            let cache = self.cache.get().and_then(Weak::upgrade);
            let (Some(cache), true) = (cache, self.note(asked, demanded)) else {
                return;
            };
            match cache.renew(id).await {
                Some(now) if !self.scopes.lock().next.is_empty() => id = now,
                _ => return,
            }
        }
    }

    /// Like [`meet`](Self::meet), for later requests.
    #[cfg_attr(
        not(any(feature = "reqwest-middleware", feature = "tower")),
        expect(dead_code, reason = "for a request that is not repeated")
    )]
    pub(crate) fn meet_later(&self, id: u64, asked: &str, demanded: &str) {
        let cache = self.cache.get().and_then(Weak::upgrade);
        if let (Some(cache), true) = (cache, self.note(asked, demanded)) {
            cache.make_due(id);
        }
    }

    /// The scopes to request in addition, and those to request if these are refused. A new scope is requested once,
    /// whatever the result.
    pub(crate) fn additions(&self) -> Additions<'_> {
        let mut scopes = self.scopes.lock();
        let next = std::mem::take(&mut scopes.next);
        scopes.asking.clone_from(&next);
        let mut list = vec![[scopes.kept.clone(), next].concat(), scopes.kept.clone(), Vec::new()];
        list.dedup();
        Additions { demands: self, list }
    }

    /// The server issued a token for these scopes; `at_once`: it refused none before.
    pub(crate) fn accepted(&self, added: &[String], at_once: bool) {
        let mut scopes = self.scopes.lock();
        scopes.kept = added.to_vec();
        if at_once {
            scopes.refused.clear();
        }
    }

    /// The server refused the scopes of `added` that are not in `left`.
    pub(crate) fn refused(&self, added: &[String], left: &[String]) -> String {
        let refused: Vec<_> = added.iter().filter(|scope| !has(left, scope)).cloned().collect();
        let shown = refused.join(" ");
        self.scopes.lock().refused.extend(refused);
        shown
    }

    /// A request for `added` failed, perhaps because of the scopes that are not in `left`: the next one is for these.
    pub(crate) fn given_up(&self, added: &[String], left: &[String]) {
        self.refused(added, left);
        self.scopes.lock().kept = left.to_vec();
    }
}

/// While it exists, another response that requires the same scopes is covered by this request.
pub(crate) struct Additions<'a> {
    demands: &'a Demands,
    pub(crate) list: Vec<Vec<String>>,
}

impl Drop for Additions<'_> {
    fn drop(&mut self) {
        self.demands.scopes.lock().asking.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(allowed: &[&str]) -> Demands {
        Demands::new(Some(allowed.iter().map(|scope| (*scope).to_owned()).collect()))
    }

    #[test]
    fn only_scopes_that_are_missing_allowed_and_well_formed_are_requested() {
        let demands = only(&["read", "write"]);
        for (asked, demanded, concerned) in [
            ("read", "write", true),
            ("", "read write", true),
            ("read", " read  write ", true),
            ("read", "read", false),
            ("read", "", false),
            ("read", "admin", false),
            ("read", "write admin", false),
            ("read", "Write", false),
            ("read", "wr\"ite", false),
            ("read", "write\t", false),
        ] {
            assert_eq!(demands.concerns(asked, demanded), concerned, "{asked:?} {demanded:?}");
            assert_eq!(demands.note(asked, demanded), concerned, "{asked:?} {demanded:?}");
        }
        let any = Demands::new(None);
        assert!(any.concerns("", "https://api.example.com/a!#[]~"));
        for demanded in ["a\\", "\u{e4}", "a\u{7f}", "a\nb", "\""] {
            assert!(!any.concerns("", demanded), "{demanded:?}");
        }
    }

    #[test]
    fn granted_scopes_are_kept_and_refused_ones_are_not_requested_before_the_next_refresh() {
        let demands = only(&["a", "b"]);
        assert_eq!(demands.additions().list, [[""; 0]]);
        assert!(demands.note("", "a"));
        assert_eq!(demands.additions().list, [vec!["a"], vec![]]);
        assert_eq!(demands.additions().list, [[""; 0]], "once, however that ended");
        demands.accepted(&["a".to_owned()], true);
        assert!(demands.note("a", "b"));
        let all = demands.additions().list.clone();
        assert_eq!(all, [vec!["a", "b"], vec!["a"], vec![]]);
        assert_eq!(demands.refused(&all[0], &all[1]), "b");
        demands.accepted(&all[1], false);
        assert!(!demands.note("a", "b"), "refused");
        demands.accepted(&demands.additions().list[0], true);
        assert!(demands.note("a", "b"), "after a refresh");
    }

    #[test]
    fn a_demand_for_a_scope_being_requested_is_met_by_that_request() {
        let demands = only(&["a"]);
        assert!(demands.note("", "a"));
        let additions = demands.additions();
        assert!(demands.note("", "a"), "worth waiting for");
        demands.accepted(&additions.list[0], true);
        drop(additions);
        assert_eq!(demands.additions().list, [vec!["a"], vec![]], "and not asked for twice");
        // It is requested again only after a failure.
        let demands = only(&["a"]);
        demands.note("", "a");
        drop(demands.additions());
        assert_eq!(demands.additions().list, [[""; 0]]);
        demands.note("", "a");
        drop(demands.additions());
        demands.note("", "a");
        assert_eq!(demands.additions().list, [vec!["a"], vec![]]);
    }

    #[test]
    fn a_refresh_that_was_requested_without_the_scope_is_followed_by_another() {
        use std::sync::atomic::{AtomicU64, Ordering};

        /// A cache whose refresh requests the scopes from this one on.
        struct Refreshes {
            demands: Arc<Demands>,
            count: AtomicU64,
            with_scopes_from: u64,
        }

        impl Renew for Refreshes {
            fn renew(self: Arc<Self>, id: u64) -> Renewal {
                if self.count.fetch_add(1, Ordering::Relaxed) + 1 >= self.with_scopes_from {
                    drop(self.demands.additions());
                }
                Box::pin(std::future::ready(Some(id + 1)))
            }

            fn make_due(&self, _: u64) {}
        }

        for (with_scopes_from, refreshes) in [(1, 1), (2, 2), (3, 2)] {
            let demands = Arc::new(only(&["a"]));
            let cache =
                Arc::new(Refreshes { demands: Arc::clone(&demands), count: AtomicU64::new(0), with_scopes_from });
            let weak = Arc::downgrade(&cache);
            demands.bind(weak);
            let mut meet = std::pin::pin!(demands.meet(1, "", "a"));
            let met = meet.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
            assert!(met.is_ready());
            assert_eq!(cache.count.load(Ordering::Relaxed), refreshes);
        }
    }

    #[test]
    fn an_api_that_demands_ever_new_scopes_is_not_followed_for_ever() {
        let any = Demands::new(None);
        let noted = (0..1000).filter(|n| any.note("", &format!("scope-{n}"))).count();
        assert_eq!((noted, any.additions().list[0].len()), (MOST, MOST));
        // Those that are kept and those that are being requested count, too.
        let any = Demands::new(None);
        any.accepted(&(1..MOST).map(|n| format!("scope-{n}")).collect::<Vec<_>>(), true);
        assert!(any.note("", "a") && !any.note("", "b"));
        let _request = any.additions();
        assert!(any.note("", "a") && !any.note("", "b"));
    }
}
