//! Deviations of well-known authorization servers, by name.

use serde_json::{Map, Value, json};

use super::message::{Form, Reply};

/// How a well-known authorization server differs from RFC 6749.
///
/// For [`AuthorizationServer::quirk`](super::AuthorizationServer::quirk). Each was seen at a real server or in a public
/// report. A test over [`Quirk::ALL`] shows that a program works with all of them.
///
/// ```
/// use client_credentials::testing::{AuthorizationServer, Quirk};
/// use client_credentials::{ClientAuth, ClientCredentials};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let server = AuthorizationServer::start().quirk(Quirk::Auth0);
/// let auth = ClientAuth::client_secret_basic("billing", "a secret");
/// let tokens = ClientCredentials::builder(server.token_url(), auth).build()?;
/// let refused = tokens.token().await.unwrap_err();
/// assert!(refused.to_string().contains("No audience parameter was provided"));
/// # Ok::<(), client_credentials::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quirk {
    /// Apigee: `expires_in` is a string, the token type is `BearerToken`.
    Apigee,
    /// Auth0: no token without `audience`; quota headers.
    Auth0,
    /// Blue Button: `expires_in` is a number with a fraction.
    BlueButton,
    /// Amazon Cognito: status 400 for a wrong secret.
    Cognito,
    /// Doorkeeper: tokens that never expire, without `expires_in`.
    Doorkeeper,
    /// Entra ID, version 1: requires `resource`; times as strings, `expires_on` in addition to `expires_in`.
    EntraV1,
    /// Entra ID, version 2: one scope, which ends in `/.default`; `ext_expires_in`; long error descriptions.
    EntraV2,
    /// GitHub: errors with status 200; a form instead of JSON without `Accept: application/json`.
    GitHub,
    /// Glewlwyd: status 403 with an empty body for a wrong secret.
    Glewlwyd,
    /// Keycloak: `unauthorized_client` for a wrong secret, scopes that were not requested, `refresh_expires_in` of 0.
    Keycloak,
    /// LinkedIn: no `token_type`.
    LinkedIn,
    /// Okta: no token without `scope`; credentials in header and body are refused; quota headers.
    Okta,
    /// PayPal: `expires_in` is a string, dozens of scopes.
    PayPal,
    /// Reddit: a client without a `User-Agent` of its own is throttled.
    Reddit,
    /// Salesforce: no `expires_in`, tokens with `!`, `instance_url`; its API names `INVALID_SESSION_ID` in the body.
    Salesforce,
    /// Slack: errors with status 200 and `ok: false`; no `token_type`.
    Slack,
    /// WSO2: returns the same token until it expires, with ever fewer seconds left.
    Wso2,
    /// Zoom: the grant is called `account_credentials` and requires `account_id`.
    Zoom,
}

impl Quirk {
    /// All quirks.
    pub const ALL: &'static [Quirk] = {
        use Quirk::*;
        &[
            Apigee, Auth0, BlueButton, Cognito, Doorkeeper, EntraV1, EntraV2, GitHub, Glewlwyd, Keycloak, LinkedIn,
            Okta, PayPal, Reddit, Salesforce, Slack, Wso2, Zoom,
        ]
    };

    /// Returns names and values of the parameters that token requests must have, in addition to
    /// `grant_type=client_credentials`. For Zoom they include `grant_type`.
    ///
    /// ```
    /// use client_credentials::testing::Quirk;
    /// assert_eq!(Quirk::Auth0.demands(), [("audience", "https://api.example.com")]);
    /// assert!(Quirk::Keycloak.demands().is_empty());
    /// ```
    pub fn demands(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Quirk::Auth0 => &[("audience", "https://api.example.com")],
            Quirk::EntraV1 => &[("resource", "https://api.example.com")],
            Quirk::EntraV2 => &[("scope", "https://api.example.com/.default")],
            Quirk::Okta => &[("scope", "read")],
            Quirk::Zoom => &[("grant_type", "account_credentials"), ("account_id", "an-account")],
            _ => &[],
        }
    }

    pub(super) fn grant_type(self) -> &'static str {
        if self == Quirk::Zoom { "account_credentials" } else { "client_credentials" }
    }

    /// The suffix of tokens.
    pub(super) fn token_suffix(self) -> &'static str {
        // Salesforce: the id of the organisation, "!", the session.
        if self == Quirk::Salesforce { "!AQcAQ.x_Y" } else { "" }
    }

    /// Code and description for a request that this server refuses, although RFC 6749 allows it.
    pub(super) fn refusal(self, form: &Form, user_agent: &str) -> Option<Reply> {
        let missing = |name: &str| form.value(name).is_none();
        let (code, description) = match self {
            Quirk::Auth0 if missing("audience") => {
                let description = "No audience parameter was provided, and no default audience has been configured";
                return Some(Reply::oauth(403, "access_denied", description));
            }
            Quirk::EntraV1 if missing("resource") => {
                ("invalid_resource", "AADSTS50001: The resource principal named '' was not found in the tenant.")
            }
            Quirk::EntraV2 if !form.value("scope").is_some_and(|scope| scope.ends_with("/.default")) => (
                "invalid_scope",
                "AADSTS1002012: The provided value for scope is not valid. Client credential flows must have a scope \
                 value with /.default suffixed to the resource identifier (application ID URI).",
            ),
            Quirk::Okta if missing("scope") => (
                "invalid_scope",
                "The authorization server resource does not have any configured default scopes, 'scope' must be provided.",
            ),
            Quirk::Zoom if missing("account_id") => ("invalid_request", "Bad Request: account_id is missing"),
            Quirk::Reddit if user_agent.is_empty() || user_agent.starts_with("reqwest") => {
                return Some(Reply::json(429, &json!({"message": "Too Many Requests", "error": 429})));
            }
            _ => return None,
        };
        Some(Reply::oauth(400, code, description))
    }

    /// What this server changes in the members of a token response.
    pub(super) fn dress(self, members: &Map<String, Value>, now: u64) -> Value {
        let lifetime = members.get("expires_in").and_then(Value::as_u64);
        let asked = members.get("scope").and_then(Value::as_str).unwrap_or_default();
        let lifetime_text = lifetime.map(|seconds| seconds.to_string());
        let now_in_millis = now.saturating_mul(1000).to_string();
        match self {
            Quirk::Apigee => json!({
                "token_type": "BearerToken",
                "issued_at": now_in_millis,
                "status": "approved",
                "expires_in": lifetime_text,
            }),
            Quirk::BlueButton => json!({"expires_in": lifetime.map(|seconds| seconds as f64 + 0.5)}),
            Quirk::Doorkeeper => json!({"expires_in": null, "created_at": now}),
            Quirk::EntraV1 => json!({
                "resource": "https://api.example.com",
                "not_before": now.to_string(),
                "expires_in": lifetime_text,
                "ext_expires_in": lifetime_text,
                "expires_on": lifetime.map(|seconds| now.saturating_add(seconds).to_string()),
            }),
            Quirk::EntraV2 => json!({"scope": null, "ext_expires_in": lifetime}),
            Quirk::GitHub => json!({"token_type": "bearer"}),
            Quirk::Keycloak => json!({
                "scope": format!("{asked} email profile").trim_start(),
                "refresh_expires_in": 0,
                "not-before-policy": 0,
            }),
            Quirk::LinkedIn => json!({"token_type": null}),
            Quirk::PayPal => json!({
                "scope": format!("https://uri.paypal.com/services/invoicing openid {asked}").trim_end(),
                "app_id": "APP-80W284485P519543T",
                "expires_in": lifetime_text,
            }),
            Quirk::Salesforce => json!({
                "expires_in": null,
                "instance_url": "https://example.my.salesforce.com",
                "issued_at": now_in_millis,
            }),
            Quirk::Slack => json!({"token_type": null, "ok": true}),
            _ => Value::Null,
        }
    }

    /// Changes a response of the token endpoint to that of this server.
    pub(super) fn rewrite(self, mut reply: Reply, accepts_json: bool) -> Reply {
        let is_error = reply.status >= 400;
        // Client authentication has failed.
        let client_is_wrong = reply.error_code() == Some("invalid_client");
        match self {
            Quirk::Auth0 => {
                reply = reply.header("auth0-client-quota-limit", "b=per_day;q=1000;r=999;t=86000");
            }
            Quirk::Okta => {
                reply = reply.header("x-rate-limit-limit", "600").header("x-rate-limit-remaining", "599");
            }
            Quirk::Cognito if client_is_wrong => return Reply::json(400, &json!({"error": "invalid_client"})),
            Quirk::Glewlwyd if client_is_wrong => return Reply::new(403, "text/plain", String::new()),
            Quirk::Keycloak if client_is_wrong => {
                return Reply::oauth(401, "unauthorized_client", "Invalid client or Invalid client credentials");
            }
            Quirk::EntraV2 if client_is_wrong => {
                return Reply::json(
                    401,
                    &json!({
                        "error": "invalid_client",
                        "error_description": "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in \
                            the request is the client secret value, not the client secret ID, for a secret added to app.",
                        "error_codes": [7000215],
                        "trace_id": "00000000-0000-0000-0000-000000000000",
                    }),
                );
            }
            Quirk::Slack if is_error => {
                let code = reply.error_code().unwrap_or("fatal_error").to_owned();
                return Reply::json(200, &json!({"ok": false, "error": code}));
            }
            Quirk::GitHub => reply.status = 200,
            _ => {}
        }
        if self == Quirk::GitHub && !accepts_json {
            reply = reply.into_form();
        }
        reply
    }

    /// The response of its API to a rejected token.
    pub(super) fn api_refusal(self, status: u16) -> Option<Reply> {
        (self == Quirk::Salesforce && status == 401).then(|| {
            let message = "Session expired or invalid";
            Reply::json(401, &json!([{"message": message, "errorCode": "INVALID_SESSION_ID"}]))
        })
    }
}
