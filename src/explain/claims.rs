//! The claims of a JWT, unverified: for the diagnosis, never for a decision about trust.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::credential::expiry;
use crate::json::wipe;
use crate::server_text::shown;

/// Only the claims that a diagnosis uses: the others may be personal data.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// `alg`, `kid` and `typ` of the header, by which the key of the JWT is found.
    pub(super) algorithm: Option<String>,
    pub(super) key_id: Option<String>,
    pub(super) typ: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) audience: Vec<String>,
    pub(super) scope: Option<String>,
    pub(super) expires: Option<Duration>,
    pub(super) not_before: Option<Duration>,
    /// The member of `cnf`, which the token is bound to.
    pub(super) bound_by: Option<String>,
}

impl Claims {
    /// `None`: it is not a JWT.
    pub(super) fn of(token: &str) -> Option<Claims> {
        let mut parts = token.trim().split('.');
        let (header, payload, Some(_), None) = (parts.next()?, parts.next()?, parts.next(), parts.next()) else {
            return None;
        };
        let decoded = |part: &str| -> Option<Map<String, Value>> {
            let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?);
            serde_json::from_slice(&bytes).ok()
        };
        let (header, members) = (decoded(header)?, decoded(payload)?);
        let text = |value: &Value| value.as_str().map(shown);
        let texts = |value: &Value| match value {
            Value::Array(all) => all.iter().take(MOST).filter_map(text).collect(),
            one => text(one).into_iter().collect::<Vec<_>>(),
        };
        let time = |name: &str| Duration::try_from_secs_f64(members.get(name)?.as_f64()?).ok();
        // RFC 9068 has `scope`, Entra ID `scp` or `roles`.
        let scope = ["scope", "scp", "roles"].iter().find_map(|name| members.get(*name)).map(texts);
        let of_cnf = members.get("cnf").and_then(Value::as_object).and_then(|cnf| cnf.keys().next());
        let claims = Claims {
            algorithm: header.get("alg").and_then(text),
            key_id: header.get("kid").and_then(text),
            typ: header.get("typ").and_then(text),
            issuer: members.get("iss").and_then(text),
            audience: members.get("aud").map(texts).unwrap_or_default(),
            scope: scope.map(|all| all.join(" ")).filter(|all| !all.is_empty()),
            expires: expiry(token),
            not_before: time("nbf"),
            bound_by: of_cnf.map(|key| shown(key)),
        };
        wipe(&mut Value::Object(members));
        Some(claims)
    }

    pub(super) fn lines(&self, now: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.issuer.as_ref().map(|iss| format!("iss {iss}")));
        if !self.audience.is_empty() {
            lines.push(format!("aud {}", self.audience.join(", ")));
        }
        lines.extend(self.scope.as_ref().map(|scope| format!("scope {scope}")));
        lines.extend(self.expires.map(|at| format!("exp {}", relative(at, now))));
        lines.extend(self.bound_by.as_ref().map(|key| format!("bound by cnf.{key}")));
        lines
    }

    pub(super) fn is_expired(&self, now: Duration) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// More audiences are not read.
const MOST: usize = 16;

/// A time since the epoch, relative to `now`.
pub(super) fn relative(at: Duration, now: Duration) -> String {
    let distance = match at.checked_sub(now) {
        Some(left) => format!("in {}", span(left.as_secs())),
        None => format!("{} ago", span(now.saturating_sub(at).as_secs())),
    };
    // httpdate ends with the year 9999.
    let date = SystemTime::UNIX_EPOCH.checked_add(at).filter(|_| at.as_secs() <= 253_402_300_799);
    match date {
        Some(date) => format!("{} ({distance})", httpdate::fmt_http_date(date)),
        None => "after the year 9999".to_owned(),
    }
}

pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("{}.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn only_the_facts_of_a_jwt_are_shown() {
        let token =
            jwt(r#"{"iss":"https://a","aud":["x","y"],"scp":"read","exp":7300,"sub":"hush","cnf":{"jkt":"hush"}}"#);
        let claims = Claims::of(&token).unwrap();
        let lines = claims.lines(Duration::from_secs(100)).join("; ");
        assert_eq!(
            lines,
            "iss https://a; aud x, y; scope read; exp Thu, 01 Jan 1970 02:01:40 GMT (in 2 h); bound by cnf.jkt"
        );
        assert!(!claims.is_expired(Duration::from_secs(7299)) && claims.is_expired(Duration::from_secs(7300)));
    }

    #[test]
    fn a_time_is_shown_with_its_distance_in_a_fitting_unit() {
        for (seconds, shown) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(span(seconds), shown);
        }
        let at = Duration::from_secs(1000);
        assert_eq!(relative(at, Duration::from_secs(940)), "Thu, 01 Jan 1970 00:16:40 GMT (in 60 s)");
        assert_eq!(relative(at, Duration::from_secs(1060)), "Thu, 01 Jan 1970 00:16:40 GMT (60 s ago)");
        let last = Duration::from_secs(253_402_300_799);
        assert!(relative(last, at).starts_with("Fri, 31 Dec 9999 23:59:59 GMT"));
        assert_eq!(relative(last + Duration::from_secs(1), at), "after the year 9999");
        assert_eq!(relative(Duration::MAX, at), "after the year 9999");
    }

    #[test]
    fn other_texts_than_jwts_have_no_claims_and_invalid_claims_are_skipped() {
        for text in ["", "opaque", "a.b.c", "e30.e30", "e30.e30.x.y", "e30.W10.x"] {
            assert_eq!(Claims::of(text), None, "{text}");
        }
        let at_once = jwt(r#"{"exp":0,"nbf":0.5}"#);
        let claims = Claims::of(&at_once).unwrap();
        assert_eq!((claims.expires, claims.not_before), (Some(Duration::ZERO), Some(Duration::from_millis(500))));
        let odd = jwt(r#"{"iss":7,"aud":{},"exp":1e300,"nbf":-5,"scope":[1,"\u001b[31mred"]}"#);
        let claims = Claims::of(&odd).unwrap();
        assert_eq!(claims.scope.as_deref(), Some("[31mred"));
        assert_eq!((claims.issuer, claims.audience, claims.expires, claims.not_before), (None, vec![], None, None));
    }
}
