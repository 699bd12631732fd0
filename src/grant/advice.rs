//! What to check after a refusal, by its code and by the request (pure).

use std::borrow::Cow;

use http::StatusCode;

use super::code::as_known;
use super::refusal::{is_about_the_scope, is_of_the_credential};
use super::request::{JOINED, is_joined};
use crate::error::{Error, ErrorKind};

/// The facts about the request that was refused.
pub(super) struct Known<'a> {
    /// The method's name.
    pub(super) method: &'static str,
    /// Whether encoding has changed the id or the secret.
    pub(super) is_encoded: bool,
    /// What is probably unintended in the id or the secret: blanks or quotes at their edges.
    pub(super) slips: Vec<String>,
    pub(super) grant_type: &'a str,
    pub(super) scope: Option<&'a str>,
    /// Whether a bound token was requested.
    pub(super) is_bound: bool,
}

pub(super) fn advice(error: &Error, known: &Known<'_>) -> Cow<'static, str> {
    if error.kind() != ErrorKind::Denied {
        return "".into();
    }
    let is_of_the_credential = is_of_the_credential(error);
    match error.oauth().map(|oauth| as_known(oauth.code())).unwrap_or_default() {
        "invalid_client" | "invalid_credentials" => credential(known).into(),
        "unauthorized_client" if !is_of_the_credential => {
            format!("is the grant {} allowed for this client at the server?", known.grant_type).into()
        }
        "unsupported_grant_type" => format!(
            "the server does not know the grant {}: is the address that of the token endpoint, and does the server call the grant \
             something else (grant_type)?",
            known.grant_type
        )
        .into(),
        code if is_about_the_scope(code) => match known.scope {
            Some(scope) if is_joined(scope) => format!("requested: {scope}; it {JOINED}").into(),
            Some(scope) => format!("requested: {scope}; are these scopes registered for this client?").into(),
            None => "no scope was requested: the server may require one (scope)".into(),
        },
        "invalid_grant" if known.is_bound => {
            "does the server take the grant's parameters, and this client's key?".into()
        }
        "invalid_grant" => {
            "the server may demand a bound token (dpop, or mutual_tls), or the grant needs other parameters (param)".into()
        }
        "invalid_target" => "is the resource or audience known to the server, and allowed for this client?".into(),
        "invalid_request" => {
            "does the server require another parameter (audience, resource, scope, client_id_in_body)?".into()
        }
        "access_denied" if !is_of_the_credential => {
            "is this client allowed to use this API, at the authorization server?".into()
        }
        "invalid_dpop_proof" => "is this machine's clock right, and is the URL that the server sees this one?".into(),
        "use_dpop_nonce" if known.is_bound => {
            "the server demands a nonce, and sent none that can be used in the header DPoP-Nonce (RFC 9449 section 8), or does \
             not take the one that it sent: does a proxy drop or change the header?"
                .into()
        }
        "use_dpop_nonce" => "the server demands a bound token (dpop)".into(),
        "invalid_authorization_details" => "does the server know these types of authorization details?".into(),
        _ if is_of_the_credential && error.status() != Some(StatusCode::FORBIDDEN) => credential(known).into(),
        _ => "".into(),
    }
}

fn credential(known: &Known<'_>) -> String {
    let mut text = format!("is this client registered there, with this credential and for {}?", known.method);
    if !known.slips.is_empty() {
        text.push_str(&format!(" Note that {}: it is sent that way.", known.slips.join(" and ")));
    } else if known.is_encoded {
        text.push_str(
            " Its id or secret has characters that client_secret_basic percent-encodes (RFC 6749 section 2.3.1): a server that \
             does not decode them needs client_secret_basic_raw or client_secret_post.",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OAuthError;
    use crate::grant::code::KNOWN;

    fn known() -> Known<'static> {
        Known {
            method: "client_secret_basic",
            is_encoded: false,
            slips: Vec::new(),
            grant_type: "client_credentials",
            scope: Some("a b"),
            is_bound: false,
        }
    }

    fn refusal(status: u16, code: &str) -> Error {
        let error = Error::of(ErrorKind::Denied, "no").with_status(StatusCode::from_u16(status).unwrap());
        if code.is_empty() { error } else { error.with_oauth(OAuthError::new(code.to_owned(), None, None)) }
    }

    #[test]
    fn a_secret_that_basic_encodes_gets_two_suggestions() {
        // FB7
        for (status, code) in [
            (401, "invalid_client"),
            (401, "unauthorized"),
            (401, ""),
            (400, "invalid_client_id"),
            (403, "invalid_client"),
            (403, "invalid_credentials"),
        ] {
            for (is_encoded, names) in [(true, true), (false, false)] {
                let text = advice(&refusal(status, code), &Known { is_encoded, ..known() });
                assert!(text.contains("client_secret_basic"), "{code}: {text}");
                assert_eq!(text.contains("client_secret_basic_raw"), names, "{code}: {text}");
                assert_eq!(text.contains("client_secret_post"), names, "{code}: {text}");
            }
        }
    }

    #[test]
    fn an_id_or_secret_with_something_unintended_is_reported_instead_of_its_encoding() {
        // FB15
        let slips = vec!["the client ID is in quotes".to_owned(), "the secret ends with a blank".to_owned()];
        let text = advice(&refusal(401, "invalid_client"), &Known { is_encoded: true, slips, ..known() });
        assert!(
            text.contains("Note that the client ID is in quotes and the secret ends with a blank: it is"),
            "{text}"
        );
        assert!(!text.contains("percent-encodes"), "{text}");
    }

    #[test]
    fn scopes_that_are_joined_by_commas_are_one_scope() {
        // FB16
        for (scope, joined) in [("read,write", true), ("read;write", true), ("read write", false)] {
            let text = advice(&refusal(400, "invalid_scope"), &Known { scope: Some(scope), ..known() });
            assert!(text.contains(&format!("requested: {scope}")), "{text}");
            assert_eq!(text.contains("blanks do"), joined, "{text}");
        }
    }

    #[test]
    fn every_code_has_advice() {
        // FB8
        for (code, words) in [
            ("invalid_grant", "bound token (dpop, or mutual_tls)"),
            ("unsupported_grant_type", "does not know the grant client_credentials"),
            ("invalid_scope", "requested: a b"),
            ("scope_invalid", "requested: a b"),
            ("INVALID_SCOPE", "requested: a b"),
            ("insufficient_scope", "requested: a b"),
            ("unauthorized_client", "is the grant client_credentials allowed"),
            ("invalid_target", "resource or audience"),
            ("invalid_request", "audience"),
            ("access_denied", "allowed to use this API"),
            ("invalid_dpop_proof", "clock"),
            ("use_dpop_nonce", "demands a bound token (dpop)"),
            ("invalid_authorization_details", "authorization details"),
        ] {
            let text = advice(&refusal(400, code), &known());
            assert!(text.contains(words), "{code}: {text}");
        }
        let unscoped = advice(&refusal(400, "invalid_scope"), &Known { scope: None, ..known() });
        assert!(unscoped.contains("no scope was requested"), "{unscoped}");
        let bound = advice(&refusal(400, "invalid_grant"), &Known { is_bound: true, ..known() });
        assert!(!bound.contains("may demand a bound token"), "{bound}");
        let bound = advice(&refusal(400, "use_dpop_nonce"), &Known { is_bound: true, ..known() });
        assert!(bound.contains("DPoP-Nonce"), "{bound}");
        for code in KNOWN {
            let is_temporary = ["temporarily_unavailable", "server_error", "slow_down"].contains(&code);
            let text = advice(&refusal(401, code), &known());
            assert!(is_temporary || !text.is_empty(), "{code}");
        }
    }

    #[test]
    fn only_refusals_get_advice() {
        assert_eq!(advice(&Error::of(ErrorKind::Transport, "down"), &known()), "");
        let busy = Error::of(ErrorKind::Response, "busy");
        let busy = busy.with_oauth(OAuthError::new("invalid_scope".to_owned(), None, None));
        assert_eq!(advice(&busy, &known()), "");
        assert_eq!(advice(&refusal(400, "strange"), &known()), "");
        assert_eq!(advice(&refusal(403, ""), &known()), "", "the text has a guess already");
        for code in ["unauthorized_client", "access_denied"] {
            let text = advice(&refusal(401, code), &known());
            assert!(text.contains("with this credential"), "Keycloak: {text}");
        }
    }

    #[cfg(all(feature = "dpop", feature = "mtls", feature = "test-util"))]
    #[tokio::test]
    async fn a_bound_token_is_suggested_to_a_client_that_asks_for_another() {
        use crate::client_auth::ClientAuth;
        use crate::client_credentials::{ClientCredentials, HttpClient};
        use crate::dpop::DpopKey;
        use crate::retry::RetryPolicy;
        use crate::testing::{Answer, AuthorizationServer, CA_PEM, CLIENT_CERTIFICATES};
        let server = AuthorizationServer::start_https();
        server.until_changed(Answer::Refuse("invalid_grant"));
        let [pem, _] = CLIENT_CERTIFICATES;
        let post = || ClientAuth::client_secret_post("billing", "x");
        let mutual = ClientAuth::mutual_tls("billing", pem.certificate, pem.key);
        for (auth, key, suggests) in
            [(post(), None, true), (post(), Some(DpopKey::generate()), false), (mutual, None, false)]
        {
            let roots = || {
                let ca = reqwest::Certificate::from_pem(CA_PEM.as_bytes()).unwrap();
                reqwest::Client::builder().tls_certs_only([ca])
            };
            let builder = ClientCredentials::builder(server.token_url(), auth).retry(RetryPolicy::new().attempts(1));
            let builder = builder.http_client(HttpClient::from_reqwest_0_13(roots));
            let tokens = key.into_iter().fold(builder, |builder, key| builder.dpop(key)).build().unwrap();
            let told = tokens.token().await.unwrap_err().to_string();
            assert_eq!(told.contains("the server may demand a bound token"), suggests, "{told}");
        }
    }
}
