//! From what was seen to the cause and what to change (pure).

use url::Url;

use super::claims::{Claims, Header, span};
use super::diagnosis::{Cause, Diagnosis, Step};
use super::metadata::Seen;
use super::network::{ConnectFlaw, EnvProxy};
use crate::client_credentials::{Draft, Start};
use crate::credential::{Kind, Shape};
use crate::error::{Error, ErrorKind};
use crate::token::AccessToken;
use crate::x509::Facts;

/// Everything that the steps have found.
pub(super) struct Findings {
    pub(super) draft: Draft,
    pub(super) shapes: Vec<Shape>,
    pub(super) unreadable: Vec<String>,
    pub(super) no_credential: bool,
    pub(super) expired: Option<String>,
    pub(super) credential_claims: Option<Claims>,
    pub(super) proxy: Option<EnvProxy>,
    pub(super) dns: Option<String>,
    pub(super) connect: Option<ConnectFlaw>,
    pub(super) handshake: Option<String>,
    pub(super) leaf: Option<Facts>,
    pub(super) seen: Seen,
    pub(super) assertion: Option<(Header, Claims)>,
    pub(super) token: Option<Result<AccessToken, Error>>,
    pub(super) token_requests: u64,
    pub(super) claims: Option<Claims>,
    pub(super) redirect: Option<String>,
    pub(super) api: Option<Answer>,
}

/// What the API said.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) status: Option<u16>,
    pub(super) flaw: Option<String>,
    pub(super) wants_dpop: bool,
    pub(super) error: Option<String>,
    pub(super) description: Option<String>,
    pub(super) scope: Option<String>,
}

impl Answer {
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.status.map(|status| format!("status {status}")).into_iter().collect();
        lines.extend(self.flaw.clone());
        lines.extend(self.error.as_ref().map(|error| format!("error {error}")));
        lines.extend(self.description.clone());
        lines.extend(self.scope.as_ref().map(|scope| format!("it requires the scope {scope}")));
        lines
    }
}

impl Findings {
    pub(super) fn new(draft: Draft) -> Self {
        Findings {
            draft,
            shapes: Vec::new(),
            unreadable: Vec::new(),
            no_credential: false,
            expired: None,
            credential_claims: None,
            proxy: None,
            dns: None,
            connect: None,
            handshake: None,
            leaf: None,
            seen: Seen::default(),
            assertion: None,
            token: None,
            token_requests: 0,
            claims: None,
            redirect: None,
            api: None,
        }
    }

    /// Where the first request goes.
    pub(super) fn url(&self) -> Option<Url> {
        match &self.draft.start {
            Start::TokenEndpoint(url) | Start::Issuer { url, .. } | Start::Resource { url, .. } => url.clone(),
        }
    }

    pub(super) fn is_reachable(&self) -> bool {
        self.dns.is_none() && self.connect.is_none() && self.handshake.is_none()
    }

    pub(super) fn credential_is_missing(&self) -> bool {
        self.no_credential
    }

    /// Seconds that our clock is ahead.
    pub(super) fn skew(&self) -> Option<i64> {
        let (theirs, ours) = self.seen.dates?;
        Some(i64::try_from(ours.as_secs()).ok()?.saturating_sub(i64::try_from(theirs.as_secs()).ok()?))
    }

    pub(super) fn not_granted(&self, token: &AccessToken) -> Vec<String> {
        let (Some(asked), Some(granted)) = (self.draft.params.scope(), token.scope()) else { return Vec::new() };
        let granted: Vec<_> = granted.split(' ').collect();
        let is_default = |scope: &str| scope.ends_with("/.default");
        asked.split(' ').filter(|one| !granted.contains(one) && !is_default(one)).map(Into::into).collect()
    }

    /// What the metadata does not list and the client needs.
    pub(super) fn lacks(&self, seen: &Seen) -> Vec<String> {
        let Some(document) = &seen.document else { return Vec::new() };
        let mut lacks = Vec::new();
        let methods = self.draft.auth.registered_names();
        if document
            .methods
            .as_ref()
            .is_some_and(|all| !methods.is_empty() && !methods.iter().any(|one| all.iter().any(|listed| listed == one)))
        {
            lacks.push(format!("the method {} is not among those listed", methods.join(" or ")));
        }
        let grant = self.grant_type();
        if document.grants.as_ref().is_some_and(|all| !all.iter().any(|one| one == grant)) {
            lacks.push(format!("the grant {grant} is not among those listed"));
        }
        lacks
    }

    fn grant_type(&self) -> &str {
        self.draft.params.0.first().map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    fn asks_for(&self, name: &str) -> bool {
        let sent = matches!(self.draft.start, Start::Resource { sent: true, .. }) && name == "resource";
        sent || self.draft.params.0.iter().any(|(one, _)| one == name)
    }

    fn is_entra(&self) -> bool {
        let url = self.url();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        host.starts_with("login.microsoftonline.") || host == "sts.windows.net" || host.ends_with(".ciamlogin.com")
    }

    /// Whether what answered is perhaps no token endpoint.
    pub(super) fn seems_misplaced(&self) -> bool {
        match &self.token {
            Some(Err(error)) => {
                error.kind() == ErrorKind::Response && error.oauth().is_none() && self.token_requests > 0
            }
            _ => false,
        }
    }
}

type Verdict = (Cause, String, Vec<String>);

pub(super) fn judge(findings: &Findings, steps: Vec<Step>) -> Diagnosis {
    let (cause, summary, mut advice) = verdict(findings);
    if let Some(skew) = findings.skew().filter(|skew| skew.unsigned_abs() >= 60 && cause != Cause::Clock) {
        advice
            .push(format!("also: the clock differs by {} from the server's; set it (NTP)", span(skew.unsigned_abs())));
    }
    let flaws: Vec<_> = findings.shapes.iter().flat_map(|shape| shape.flaws.iter().copied()).collect();
    if !flaws.is_empty() && !matches!(cause, Cause::CredentialEdges | Cause::Works) {
        advice.push(format!("also: the credential {}", flaws.join(" and ")));
    }
    Diagnosis { steps, cause, summary, advice, token_requests: findings.token_requests }
}

fn verdict(findings: &Findings) -> Verdict {
    if !findings.draft.faults.is_empty() {
        return told(Cause::Configuration, "The configuration is not usable.", &findings.draft.faults);
    }
    if findings.no_credential {
        return unreadable(findings);
    }
    match &findings.token {
        None => without_token(findings),
        Some(Ok(token)) => with_token(findings, token),
        Some(Err(error)) => refused(findings, error),
    }
}

fn told<T: Into<String> + Clone>(cause: Cause, summary: impl Into<String>, advice: &[T]) -> Verdict {
    (cause, summary.into(), advice.iter().cloned().map(Into::into).collect())
}

fn unreadable(findings: &Findings) -> Verdict {
    if findings.unreadable.is_empty() {
        return told(Cause::CredentialUnreadable, "There is no credential.", &["give one to the method"]);
    }
    let why = findings.unreadable.join("; ");
    let advice = [
        "provide the credential in the configured place, readable for this user",
        "or correct the path or the name of the variable",
    ];
    told(Cause::CredentialUnreadable, format!("The credential cannot be read: {why}."), &advice)
}

fn edges(findings: &Findings) -> Option<Verdict> {
    let shape = findings.shapes.iter().find(|shape| !shape.flaws.is_empty())?;
    let summary = format!("The credential {}: it is sent that way.", shape.flaws.join(" and "));
    let advice = [
        "write it without: printf %s \"$SECRET\" > FILE instead of echo, and no quotes in the file",
        "a file may end in one line break, which is dropped",
    ];
    Some(told(Cause::CredentialEdges, summary, &advice))
}

/// The network steps alone, where no token request was wanted.
fn without_token(findings: &Findings) -> Verdict {
    if let Some(verdict) = unreached(findings) {
        return verdict;
    }
    if let Some(error) = &findings.seen.error {
        return transport_or_tls(findings, error);
    }
    if let Some(verdict) = edges(findings) {
        return verdict;
    }
    told(Cause::Works, "Nothing is wrong as far as this shows: no token was requested.", &[] as &[&str])
}

fn with_token(findings: &Findings, token: &AccessToken) -> Verdict {
    if let Some(answer) = &findings.api {
        if let Some(verdict) = of_api(findings, token, answer) {
            return verdict;
        }
    }
    let missing = findings.not_granted(token);
    if !missing.is_empty() {
        let summary = format!("A token was issued, but without the scope {}.", missing.join(" "));
        let advice = [
            "have the scope granted to the client at the authorization server",
            "or request less: AccessToken::scope returns what is granted",
        ];
        return told(Cause::Scope, summary, &advice);
    }
    let checked = if findings.api.is_some() { ", and the API accepts it" } else { "" };
    told(Cause::Works, format!("It works: a token was issued{checked}."), &[] as &[&str])
}

fn of_api(findings: &Findings, token: &AccessToken, answer: &Answer) -> Option<Verdict> {
    let said = answer.lines().join(", ");
    let is_bound = token.scheme() != "Bearer";
    let code = answer.error.as_deref().unwrap_or_default();
    match answer.status {
        Some(200..=399) => None,
        Some(401 | 400) if answer.wants_dpop && !is_bound => Some(told(
            Cause::ApiDpop,
            format!("The API requires tokens that are bound to a key ({said})."),
            &[
                "add .dpop(..) to the builder (feature dpop), or dpop.key_file to the configuration",
                "register the client for DPoP at the authorization server",
            ],
        )),
        Some(401 | 403) if code == "insufficient_scope" => {
            let scope = answer.scope.as_ref().map(|scope| format!("add the scope {scope}"));
            let granted = token.scope().unwrap_or("nothing that is known");
            let mut advice: Vec<_> = scope.into_iter().collect();
            advice.push("have it granted to the client at the authorization server".to_owned());
            Some(told(
                Cause::ApiScope,
                format!("The API requires another scope; the granted scope is {granted} ({said})."),
                &advice,
            ))
        }
        Some(401) => {
            let audience =
                findings.claims.as_ref().map(|claims| claims.audience.join(", ")).filter(|aud| !aud.is_empty());
            let mut advice = Vec::new();
            match audience {
                Some(audience) => advice.push(format!(
                    "the token is for {audience}: if the API is another one, change audience, resource or scope"
                )),
                None if findings.claims.is_none() => advice.push(
                    "the token is opaque: an API that expects a JWT needs audience or resource in the request"
                        .to_owned(),
                ),
                None => advice.push("the token has no audience: request one with audience or resource".to_owned()),
            }
            let issuer = findings.claims.as_ref().and_then(|claims| claims.issuer.as_ref());
            advice.extend(issuer.map(|issuer| format!("the API must trust the issuer {issuer}")));
            Some(told(Cause::ApiAudience, format!("The API refuses the new token ({said})."), &advice))
        }
        Some(403) => {
            let advice = [
                "the token is accepted but does not allow this request: check scopes, roles and permissions of the client at the API",
            ];
            Some(told(Cause::ApiScope, format!("The API forbids the request ({said})."), &advice))
        }
        Some(429) => Some(told(
            Cause::Quota,
            format!("The API asks for fewer requests ({said})."),
            &["wait, or request a larger quota"],
        )),
        None => Some(told(
            Cause::Api,
            format!("A token was issued, but the API could not be reached ({said})."),
            &["check host and port of the API's URL, and whether the API is up"],
        )),
        Some(_) => Some(told(
            Cause::Api,
            format!("A token was issued, but the API returned an unexpected response ({said})."),
            &["check the URL of the API"],
        )),
    }
}

fn refused(findings: &Findings, error: &Error) -> Verdict {
    let text = sentence(error);
    match error.kind() {
        ErrorKind::Configuration => told(Cause::Configuration, text, &[] as &[&str]),
        // It is not sent once it has expired.
        ErrorKind::Credential => {
            expired(findings, &text).or_else(|| edges(findings)).unwrap_or_else(|| match &findings.unreadable {
                all if all.is_empty() => told(
                    Cause::CredentialUnreadable,
                    text,
                    &["provide the credential in the place that the text names"],
                ),
                _ => unreadable(findings),
            })
        }
        ErrorKind::Throttled => {
            let wait = error.retry_after().map(|wait| format!("wait {}", span(wait.as_secs())));
            let mut advice: Vec<_> = wait.into_iter().collect();
            advice.push(
                "share one source between all tasks, and one store between all processes (feature shared)".to_owned(),
            );
            advice.push("request a larger quota".to_owned());
            told(Cause::Quota, text, &advice)
        }
        ErrorKind::Transport | ErrorKind::Tls => transport_or_tls(findings, error),
        _ if findings.token_requests == 0 => of_metadata(findings, text),
        _ => match error.oauth() {
            Some(oauth) => of_oauth(findings, error, oauth.code(), oauth.description().unwrap_or_default()),
            None => without_oauth(findings, error),
        },
    }
}

fn sentence(error: &Error) -> String {
    let text = format!("{error:#}");
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

fn unreached(findings: &Findings) -> Option<Verdict> {
    let url = findings.url();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    if let Some(flaw) = &findings.dns {
        let advice = [
            "check the name for a typing mistake",
            "is the name known in this network only by a VPN, or by another DNS server (in a container: its search domains)?",
        ];
        return Some(told(Cause::Dns, format!("The name {host} cannot be resolved: {flaw}."), &advice));
    }
    let flaw = findings.connect.as_ref()?;
    if flaw.timeout {
        let advice = [
            "a firewall drops the packets: allow connections to this host and port",
            "or a proxy is needed: set HTTPS_PROXY",
        ];
        return Some(told(Cause::Timeout, format!("No connection to {host} in time: {}.", flaw.text), &advice));
    }
    let (cause, what) = match flaw.refused {
        true => (Cause::ConnectionRefused, "accepts no connection"),
        false => (Cause::Outage, "cannot be reached"),
    };
    let advice =
        ["check host and port, and whether the server is up", "inside a container localhost is the container itself"];
    Some(told(cause, format!("{host} {what}: {}.", flaw.text), &advice))
}

fn transport_or_tls(findings: &Findings, error: &Error) -> Verdict {
    let text = sentence(error);
    if error.kind() == ErrorKind::Tls {
        return of_tls(findings, text);
    }
    if let Some(verdict) = unreached(findings) {
        return verdict;
    }
    if let Some(proxy) = &findings.proxy {
        let first = format!(
            "{} names the proxy {}: does it run, and does it let this host through?",
            proxy.variable, proxy.shown
        );
        return told(Cause::Proxy, text, &[first, "add the host to NO_PROXY if it is reached directly".to_owned()]);
    }
    if text.contains("no complete response within") || text.contains("timed out") {
        let advice = [
            "the server accepts the connection but does not respond: is it overloaded, or is something else listening there?",
            "raise Limits::attempt_timeout if it is known to be slow",
        ];
        return told(Cause::Timeout, text, &advice);
    }
    if let Some(flaw) = &findings.handshake {
        let advice = ["the port does not speak TLS: check scheme and port"];
        return told(Cause::Tls, format!("The TLS handshake fails: {flaw}."), &advice);
    }
    told(Cause::Outage, text, &["the connection broke: check the server's log and any proxies or firewalls in between"])
}

fn of_tls(findings: &Findings, text: String) -> Verdict {
    if let Some(expired) = findings.expired.as_ref().filter(|_| findings.draft.auth.is_mutual_tls()) {
        return told(
            Cause::CredentialExpired,
            format!("The server refuses the client's certificate: {expired}."),
            &["renew the certificate"],
        );
    }
    let now = findings.draft.now.wall();
    let mut advice = Vec::new();
    match &findings.leaf {
        Some(leaf) if leaf.not_after <= now => {
            advice.push(format!("the certificate of {} has expired: have it renewed", leaf.subject));
            advice.push("or the clock of this machine is wrong".to_owned());
        }
        Some(leaf) if leaf.not_before > now => {
            advice.push("the certificate is not valid yet: the clock of this machine is behind".to_owned())
        }
        Some(leaf) if text.contains("NotValidForName") || text.contains("not valid for name") => {
            advice.push(format!("the certificate is of {}, not of this host: use the name that it has", leaf.subject));
        }
        leaf => {
            let issuer = leaf.as_ref().map(|leaf| format!("the certificate was issued by {}", leaf.issuer));
            advice.push(format!(
                "{}: if that is the CA of your company, or of a proxy that inspects TLS, add it: http.ca_file, or HttpClient with tls_certs_merge",
                issuer.unwrap_or_else(|| "the issuer is not among the roots of this system".to_owned())
            ));
            advice.push("in a container: install the package ca-certificates".to_owned());
        }
    }
    told(Cause::Tls, text, &advice)
}

fn of_metadata(findings: &Findings, text: String) -> Verdict {
    let mut advice = Vec::new();
    if let Start::Issuer { issuer, .. } = &findings.draft.start {
        if let Some(found) = findings
            .seen
            .document
            .as_ref()
            .and_then(|document| document.issuer.as_ref())
            .filter(|found| *found != issuer)
        {
            advice.push(format!("the server calls itself {found}: use exactly that as the issuer"));
        }
        advice.push("Keycloak: https://HOST/realms/REALM; Entra ID: https://login.microsoftonline.com/TENANT/v2.0; Okta: https://HOST/oauth2/default".to_owned());
    }
    if let (Start::Resource { allowed, .. }, Some(names)) = (&findings.draft.start, &findings.seen.api_names) {
        advice.push(format!("the API names {}; allowed are {}", names.join(", "), allowed.join(", ")));
    }
    advice.push("or configure the token endpoint itself".to_owned());
    told(Cause::Metadata, text, &advice)
}

fn without_oauth(findings: &Findings, error: &Error) -> Verdict {
    let text = sentence(error);
    let status = error.status().map_or(0, |status| status.as_u16());
    let body_is_foreign = (200..300).contains(&status) || text.contains("JSON");
    if matches!(status, 300..=399 | 404 | 405 | 410 | 415 | 501) || body_is_foreign && status < 400 {
        let mut advice = Vec::new();
        let found = findings.seen.document.as_ref().and_then(|document| document.token_endpoint.as_ref());
        advice.extend(found.map(|url| format!("the server's metadata names this token endpoint: {url}")));
        advice.extend(
            findings.redirect.as_ref().map(|to| format!("it redirects to {to}: if that is the server, give that URL")),
        );
        advice.push("look for token_endpoint in the server's /.well-known/openid-configuration".to_owned());
        if body_is_foreign && status < 300 {
            advice.push("a page instead of JSON may also come from a proxy or a captive portal".to_owned());
        }
        return told(Cause::NotATokenEndpoint, text, &advice);
    }
    match status {
        401 | 403 => {
            if let Some(verdict) = edges(findings) {
                return verdict;
            }
            let mut advice = vec!["compare client id and secret with the registration".to_owned()];
            advice.push("a proxy or firewall in front of the server may also respond like this".to_owned());
            told(Cause::ClientRefused, text, &advice)
        }
        500.. => told(
            Cause::Outage,
            text,
            &[
                "the server cannot answer now: try again, and look at its log",
                "some servers answer a malformed request this way: check the parameters",
            ],
        ),
        _ => told(Cause::Other, text, &["compare the request with the server's documentation"]),
    }
}

fn of_oauth(findings: &Findings, error: &Error, code: &str, description: &str) -> Verdict {
    let text = sentence(error);
    let said = description.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let auth = &findings.draft.auth;
    let signs = matches!(auth.name(), "private_key_jwt" | "client_secret_jwt");
    let is_assertion = signs || auth.name() == "client_assertion";

    // Keycloak calls a wrong secret unauthorized_client.
    let is_client = code == "invalid_client"
        || (code == "unauthorized_client"
            && says(&["credential", "secret", "invalid client"])
            && !says(&["grant", "service account"]))
        || (code == "invalid_grant" && auth.name() == "client_assertion");
    if matches!(code, "invalid_dpop_proof" | "use_dpop_nonce") && !findings.draft.is_bound {
        return told(
            Cause::DpopRequired,
            text,
            &[
                "add .dpop(..) to the builder (feature dpop), or dpop.key_file to the configuration",
                "or switch the requirement off for this client",
            ],
        );
    }
    let skew = findings.skew().unwrap_or_default();
    let says_time = says(&["expired", "iat", "nbf", "exp ", "not yet valid", "too old", "in the future", "clock"]);
    let is_timed = is_assertion || matches!(code, "invalid_dpop_proof");
    if is_timed && (is_client || code == "invalid_dpop_proof") && skew.unsigned_abs() >= 60 {
        let direction = if skew > 0 { "ahead of" } else { "behind" };
        let summary = format!(
            "The clock of this machine is {} {direction} the server's, and signed assertions and proofs contain the time. {text}",
            span(skew.unsigned_abs())
        );
        return told(
            Cause::Clock,
            summary,
            &["set the clock (NTP)", "or let assertions go by the server's Date: server_time(true)"],
        );
    }
    if let Some(verdict) = expired(findings, &text).filter(|_| is_client || says_time) {
        return verdict;
    }
    if is_client {
        return of_client(findings, text, &says, signs);
    }
    match code {
        "invalid_scope" => of_scope(findings, text),
        "invalid_target" | "invalid_resource" => of_audience(findings, text),
        "unauthorized_client" | "unsupported_grant_type" => of_grant(findings, text),
        _ if says(&["audience", "resource principal", "client-grant", "resource server"]) && !is_assertion => {
            of_audience(findings, text)
        }
        "access_denied" if says(&["scope"]) => of_scope(findings, text),
        _ if says(&["grant type", "grant_type", "service account"]) => of_grant(findings, text),
        _ if says(&["scope", ".default"]) => of_scope(findings, text),
        _ if says(&["authentication method", "client_assertion"]) => of_method(findings, text),
        "temporarily_unavailable" | "server_error" => {
            told(Cause::Outage, text, &["the server cannot answer now: try again"])
        }
        _ if !findings.lacks(&findings.seen).is_empty() => {
            told(Cause::MethodNotSupported, text, &findings.lacks(&findings.seen))
        }
        _ => told(Cause::Other, text, &["look up the error and its ids in the server's documentation"]),
    }
}

fn expired(findings: &Findings, text: &str) -> Option<Verdict> {
    let expired = findings.expired.as_ref()?;
    let advice = [
        "renew it: is the agent or the kubelet that writes the file running?",
        "is the file mounted with subPath? Such a mount is not updated",
    ];
    Some(told(Cause::CredentialExpired, format!("{}. {text}", capital(expired)), &advice))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

fn of_client(findings: &Findings, text: String, says: &dyn Fn(&[&str]) -> bool, signs: bool) -> Verdict {
    let auth = &findings.draft.auth;
    if let Some(verdict) = edges(findings) {
        return verdict;
    }
    let is_uuid = findings.shapes.iter().any(|shape| shape.kind == Kind::Uuid);
    if says(&["aadsts7000215"]) || is_uuid && findings.is_entra() {
        let advice = [
            "copy the column \"Value\" of the secret, not \"Secret ID\"; the value is shown only once, so a new secret may be needed",
        ];
        return told(
            Cause::SecretId,
            format!("The secret looks like the id of a secret at Entra ID, not its value. {text}"),
            &advice,
        );
    }
    let lacks = findings.lacks(&findings.seen);
    if lacks.iter().any(|one| one.contains("method"))
        || says(&["authentication method", "auth method", "authentication scheme", "not supported by the server"])
    {
        return of_method(findings, text);
    }
    if signs {
        return of_assertion(findings, text);
    }
    if auth.name() == "client_assertion" {
        let mut advice = Vec::new();
        if let Some(claims) = &findings.credential_claims {
            let audience = claims.audience.join(", ");
            advice.push(format!("its audience is {audience}: it must be what the server expects, usually its issuer (Entra ID: api://AzureADTokenExchange)"));
            advice.extend(
                claims
                    .issuer
                    .as_ref()
                    .map(|issuer| format!("the server must trust its issuer {issuer}, and its subject")),
            );
        }
        return told(Cause::Assertion, text, &advice);
    }
    let is_encoded = |text: &str| Shape::of(text).is_encoded;
    if auth.name() == "client_secret_basic"
        && (findings.shapes.iter().any(|shape| shape.is_encoded) || is_encoded(auth.id()))
    {
        let advice = [
            "secret or id have characters that are form-urlencoded under Basic (RFC 6749 section 2.3.1), which many servers do not decode: try client_secret_basic_raw, or client_secret_post",
            "if that fails as well, compare id and secret with the registration",
        ];
        return told(Cause::BasicEncoding, text, &advice);
    }
    let mut advice = vec!["compare client id and secret with the registration: of the same realm or tenant, not expired, not of another environment".to_owned()];
    match auth.name() {
        used @ ("client_secret_basic" | "client_secret_post") => advice.push(another_method(findings, used)),
        "none" => advice.push("the client must authenticate: configure a secret or a key".to_owned()),
        _ => {}
    }
    advice.push("a new secret may take up to a minute to become active".to_owned());
    told(Cause::ClientRefused, text, &advice)
}

/// Servers refuse a client that uses another method than its own as they refuse a wrong secret.
fn another_method(findings: &Findings, used: &str) -> String {
    let listed = findings.seen.document.as_ref().and_then(|document| document.methods.as_ref());
    let other = if used == "client_secret_post" { "client_secret_basic" } else { "client_secret_post" };
    match listed {
        Some(listed) if listed.iter().any(|method| method != used) => {
            let others: Vec<_> = listed.iter().map(String::as_str).filter(|method| *method != used).collect();
            format!("the client may be registered for another method; the server supports {}", others.join(", "))
        }
        _ => format!("the client may be registered for {other}"),
    }
}

fn of_method(findings: &Findings, text: String) -> Verdict {
    let methods = findings.seen.document.as_ref().and_then(|document| document.methods.as_ref());
    let mut advice = Vec::new();
    advice.extend(methods.map(|methods| {
        format!("the server lists {}; the client uses {}", methods.join(", "), findings.draft.auth.name())
    }));
    advice.push("use the method that the client is registered for".to_owned());
    told(Cause::MethodNotSupported, text, &advice)
}

fn of_assertion(findings: &Findings, text: String) -> Verdict {
    let mut advice = Vec::new();
    let document = findings.seen.document.as_ref();
    if let Some((header, claims)) = &findings.assertion {
        let algorithms = document.and_then(|document| document.algorithms.as_ref());
        if let Some(algorithms) = algorithms.filter(|all| !all.contains(&header.algorithm)) {
            advice.push(format!(
                "alg is {}, and the server lists {}: set .algorithm(..), or use another key",
                header.algorithm,
                algorithms.join(" ")
            ));
        }
        let issuer = document.and_then(|document| document.issuer.as_ref());
        match issuer.filter(|issuer| !claims.audience.contains(issuer)) {
            Some(issuer) => advice.push(format!(
                "aud is {}, and the issuer is {issuer}: .audience(..) of the method sets it",
                claims.audience.join(", ")
            )),
            None => advice.push(format!(
                "aud is {}: some servers (Entra ID, Okta) require the token endpoint",
                claims.audience.join(", ")
            )),
        }
        match &header.key_id {
            None => advice.push(
                "there is no kid: a client with several registered keys needs one, .key_id(..) or a JWK".to_owned(),
            ),
            Some(kid) => advice.push(format!("kid is {kid}: is the public key registered under that id?")),
        }
        if header.typ.as_deref() == Some("client-authentication+jwt") {
            advice.push("typ is client-authentication+jwt: older servers require .typ(\"JWT\")".to_owned());
        }
    }
    advice.push("is the public key, or the secret, that of this client?".to_owned());
    told(Cause::Assertion, text, &advice)
}

fn of_grant(findings: &Findings, text: String) -> Verdict {
    let mut advice = vec![format!("allow the client the grant {}", findings.grant_type())];
    advice.push("Keycloak: switch on \"Service accounts roles\"; Auth0: application type Machine to Machine, advanced settings, grant types; Okta: an API service app".to_owned());
    let grants = findings.seen.document.as_ref().and_then(|document| document.grants.as_ref());
    advice.extend(grants.map(|grants| format!("the server lists {}", grants.join(", "))));
    told(Cause::GrantNotAllowed, text, &advice)
}

fn of_scope(findings: &Findings, text: String) -> Verdict {
    let mut advice = Vec::new();
    let asked = findings.draft.params.scope();
    let entra = findings.is_entra() || text.contains("AADSTS") || text.contains(".default");
    if entra && !asked.is_some_and(|scope| scope.ends_with("/.default")) {
        advice.push(
            "Entra ID: request one scope, that of the API followed by /.default: https://graph.microsoft.com/.default"
                .to_owned(),
        );
    }
    match asked {
        Some(asked) => advice
            .push(format!("the requested scope is {asked}: have it assigned to the client, or request another one")),
        None => advice.push("no scope was requested: this server requires one, .scope(..)".to_owned()),
    }
    let listed = findings.seen.document.as_ref().and_then(|document| document.scopes.as_ref());
    advice.extend(listed.map(|scopes| format!("the server lists {}", scopes.join(" "))));
    told(Cause::Scope, text, &advice)
}

fn of_audience(findings: &Findings, text: String) -> Verdict {
    let mut advice = Vec::new();
    match (findings.asks_for("audience"), findings.asks_for("resource")) {
        (false, false) => advice.push("name the API: .audience(..) at Auth0, Ory Hydra and Kinde; .resource(..) at AD FS, Entra ID version 1 and RFC 8707 servers".to_owned()),
        (true, _) => advice.push("the audience is unknown, or the client is not authorized for it: Auth0 requires the API's identifier, and a client grant for it".to_owned()),
        (false, true) => advice.push("the resource is unknown or refused; Entra ID version 2 requires the scope RESOURCE/.default instead".to_owned()),
    }
    told(Cause::AudienceOrResource, text, &advice)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
