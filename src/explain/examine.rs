//! The examination: one step after the other, and at most one token request.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;

use http::header::LOCATION;

use super::claims::{Claims, span};
use super::credential::examine_credential;
use super::diagnosis::{Diagnosis, Outcome};
use super::findings::{Answer, Findings};
use super::judge::judge;
use super::metadata::look;
use super::network::reach;
use super::steps::{Progress, Steps};
use crate::address;
use crate::challenge::Challenge;
use crate::client_auth::Recipient;
use crate::client_credentials::{ClientCredentialsBuilder, Known};
use crate::error::Error;
use crate::exchange::{Peer, server_time};
use crate::server_text::{Masks, shown};
use crate::token::AccessToken;
use crate::verdict::{LONGEST, about};

/// The examination started by [`ClientCredentialsBuilder::diagnose`]: await it.
#[must_use = "a diagnosis does nothing before it is awaited"]
pub struct Diagnose {
    builder: ClientCredentialsBuilder,
    api: Option<String>,
    requests_token: bool,
    progress: Option<Box<Progress>>,
}

impl ClientCredentialsBuilder {
    /// Finds out why there is no token, or why the API refuses it. Examines the configuration, credential, proxy, name,
    /// connection, certificate, metadata and clock, sends one token request, and reports what to change.
    ///
    /// It returns a [`Diagnosis`], never an error. Nothing is retried, cached or shared. At most one token request is sent,
    /// plus one if the server requires a DPoP nonce. If there are several credentials ([`Credential::or`]), all are examined
    /// and the first is sent. A method that signs creates one assertion more than it sends. Up to six `GET` requests fetch
    /// metadata. The result does not contain the credential, the token or the query of a URL.
    ///
    /// ```no_run
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    ///
    /// # async fn run() {
    /// let secret = Credential::file("/run/secrets/client-secret");
    /// let auth = ClientAuth::client_secret_basic("billing", secret);
    /// let endpoint = "https://auth.example.com/token";
    /// let builder = ClientCredentials::builder(endpoint, auth);
    /// println!("{}", builder.diagnose().await);
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the examination. A token that was already issued is lost.
    ///
    /// [`Credential::or`]: crate::Credential::or
    /// [`Diagnosis`]: crate::Diagnosis
    pub fn diagnose(&self) -> Diagnose {
        Diagnose { builder: self.clone(), api: None, requests_token: true, progress: None }
    }
}

impl Diagnose {
    /// Also sends one `GET` request with the token to this URL of the API, and explains a 401 or 403.
    pub fn api(mut self, url: impl Into<String>) -> Self {
        self.api = Some(url.into());
        self
    }

    /// Sets whether to send the token request. Default: true.
    pub fn token_request(mut self, send: bool) -> Self {
        self.requests_token = send;
        self
    }

    /// Calls `progress` with a line after each step, and before the token request.
    pub fn progress(mut self, progress: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    async fn run(self) -> Diagnosis {
        let mut findings = Findings::new(self.builder.draft());
        if let Some(Err(flaw)) = self.api.as_ref().map(|api| address::secure(api, &self.builder.plain_hosts)) {
            findings.draft.faults.add("api", flaw);
        }
        let mut steps = Steps::new(self.progress.as_deref());
        self.examine(&mut findings, &mut steps).await;
        judge(&findings, steps.all)
    }

    /// Step by step, until one prevents those after it.
    async fn examine(&self, findings: &mut Findings, steps: &mut Steps<'_>) {
        if !findings.draft.faults.is_empty() {
            return steps.add("configuration", Outcome::Failed, findings.draft.faults.lines());
        }
        steps.add("configuration", Outcome::Fine, vec![findings.draft.builder.auth.name().to_owned()]);
        examine_credential(findings, steps).await;
        let Some(url) = findings.url() else { return };
        let made = self.builder.exchange(&url).and_then(|exchange| Ok((exchange.route(&url)?, exchange)));
        let (route, exchange) = match made {
            Ok(made) => made,
            Err(error) => {
                steps.add("HTTP client", Outcome::Failed, vec![format!("{error:#}")]);
                findings.token = Some(Err(error));
                return;
            }
        };
        reach(findings, steps, &url, route, self.builder.rules.limits.connect_timeout).await;
        let now = || self.builder.clock.now().wall();
        if findings.is_reachable() {
            let mut seen = look(&exchange, &findings.draft, now).await;
            let mut lines = std::mem::take(&mut seen.lines);
            lines.extend(seen.document.lines());
            lines.extend(seen.api_names.iter().map(|names| format!("the API names: {}", names.join(", "))));
            findings.seen = seen;
            let (lacks, is_found) = (findings.lacks(), findings.seen.document.is_found());
            let is_needed =
                !matches!(findings.draft.server(), Known::TokenEndpoint(_)) || findings.seen.error.is_some();
            let outcome = match is_found {
                true if lacks.is_empty() => Outcome::Fine,
                true => Outcome::Suspicious,
                false if is_needed => Outcome::Failed,
                false => Outcome::Skipped,
            };
            lines.extend(lacks);
            steps.add("metadata", outcome, lines);
        } else {
            steps.add("metadata", Outcome::Skipped, vec!["the server cannot be reached".to_owned()]);
        }
        if findings.seen.dates.is_none() && findings.seen.error.is_none() && findings.is_reachable() {
            // Any response has a date.
            let response =
                exchange.fetch(Peer { name: "the server", url: &url, identity: None, masks: None }).await.ok();
            findings.seen.dates =
                response.and_then(|received| server_time(&received.response.headers)).map(|date| (date, now()));
        }
        self.examine_assertion(findings, steps).await;
        examine_clock(findings, steps);
        if !self.requests_token {
            return steps.add("token request", Outcome::Skipped, vec!["not wanted".to_owned()]);
        }
        if findings.no_credential {
            return steps.add("token request", Outcome::Skipped, vec!["there is no credential to send".to_owned()]);
        }
        steps.tell("one token request follows");
        self.request_token(findings, steps).await;
        if let Some(Ok(token)) = &findings.token {
            if let Some(api) = &self.api {
                findings.api = Some(self.ask_api(api, token, steps).await);
            }
        } else if findings.seems_misplaced() {
            if let (Known::TokenEndpoint(_), Some(url)) = (findings.draft.server(), &findings.draft.url) {
                let response = exchange.fetch(Peer { name: "the URL", url, identity: None, masks: None }).await.ok();
                let to =
                    response.and_then(|received| received.response.headers.get(LOCATION)?.to_str().ok().map(shown));
                findings.redirect = to.map(|to| to.split(['?', '#']).next().unwrap_or_default().to_owned());
            }
        }
    }

    /// Examines the assertion that would be sent.
    async fn examine_assertion(&self, findings: &mut Findings, steps: &mut Steps<'_>) {
        let auth = &findings.draft.builder.auth;
        if !auth.signs() {
            return;
        }
        let issuer = match findings.draft.server() {
            Known::TokenEndpoint(_) => None,
            Known::Issuer(issuer) => Some(issuer.issuer.clone()),
            Known::Resource(api) => api.allowed.first().cloned(),
        };
        let endpoint = findings.url().map(String::from).unwrap_or_default();
        let to = Recipient { issuer: issuer.as_deref(), token_endpoint: &endpoint };
        let made = async {
            let place = auth.places().first().copied().unwrap_or_default();
            let evidence = auth.read(place, findings.draft.now).await?;
            auth.prove(&evidence, to, findings.draft.now).await
        };
        match made.await {
            Ok(proof) => {
                let jwt = proof.params.iter().find(|(name, _)| name == "client_assertion");
                findings.assertion = jwt.and_then(|(_, jwt)| Claims::of(jwt));
                let mut lines = Vec::new();
                if let Some(claims) = &findings.assertion {
                    for (name, value) in [("alg", &claims.algorithm), ("kid", &claims.key_id), ("typ", &claims.typ)] {
                        lines.push(format!("{name} {}", value.as_deref().unwrap_or("none")));
                    }
                    lines.push(format!("aud {}", claims.audience.join(", ")));
                }
                steps.add("assertion", Outcome::Fine, lines);
            }
            Err(error) => {
                steps.add("assertion", Outcome::Failed, vec![format!("{error:#}")]);
                findings.unreadable.push(error.to_string());
            }
        }
    }

    async fn request_token(&self, findings: &mut Findings, steps: &mut Steps<'_>) {
        let result = match self.builder.clone().for_one_request().build() {
            Ok(tokens) => {
                let result = tokens.token().await;
                findings.token_requests = tokens.token_requests();
                result
            }
            Err(error) => Err(error),
        };
        let now = findings.draft.now.wall();
        match &result {
            Ok(token) => {
                let mut lines = vec![format!("{} token of {} characters", token.scheme(), token.expose_secret().len())];
                lines.push(match token.expires_in() {
                    Some(left) => format!("expires in {}", span(left.as_secs())),
                    None => "the server does not say when it expires".to_owned(),
                });
                lines.extend(token.scope().map(|scope| format!("scope {}", shown(scope))));
                let missing = findings.not_granted(token);
                let outcome = if missing.is_empty() { Outcome::Fine } else { Outcome::Suspicious };
                lines.extend((!missing.is_empty()).then(|| format!("not granted: {}", missing.join(" "))));
                steps.add("token request", outcome, lines);
                findings.claims = Claims::of(token.expose_secret());
                let lines = match &findings.claims {
                    Some(claims) => claims.lines(now),
                    None => vec!["opaque (not a JWT): only the server can read it".to_owned()],
                };
                steps.add("token", Outcome::Fine, lines);
            }
            Err(error) => steps.add("token request", Outcome::Failed, vec![format!("{error:#}")]),
        }
        findings.token = Some(result);
    }

    async fn ask_api(&self, api: &str, token: &AccessToken, steps: &mut Steps<'_>) -> Answer {
        let masks = Masks::new(vec![token.expose_secret().into()]);
        let clean = |text: &str| masks.clean(text, 256);
        let asked = async {
            let url =
                address::secure(api, &self.builder.plain_hosts).map_err(|flaw| format!("the URL of the API {flaw}"))?;
            let failed = |error: Error| format!("{error:#}");
            let exchange = self.builder.exchange(&url).map_err(failed)?;
            #[cfg(feature = "dpop")]
            let headers = token.request_headers(&http::Method::GET, url.as_str()).await.map_err(failed)?;
            #[cfg(not(feature = "dpop"))]
            let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, token.authorization())]);
            let peer = Peer { name: "the API", url: &url, identity: None, masks: None };
            exchange.fetch_with(peer, headers).await.map(|received| received.response).map_err(failed)
        };
        let answer = match asked.await {
            Err(flaw) => Answer { flaw: Some(clean(&flaw)), ..Answer::default() },
            Ok(response) => {
                let challenges = Challenge::all(&response.headers);
                let has = |scheme| challenges.iter().any(|one| one.is(scheme));
                let ours = about(&["Bearer", "DPoP"], response.status, &response.headers);
                let param = |name: &str| ours.as_ref().and_then(|one| one.param(name)).map(clean);
                Answer {
                    status: Some(response.status.as_u16()),
                    flaw: None,
                    // With challenges of both schemes it accepts both (RFC 9449 section 7.2).
                    wants_dpop: has("DPoP") && !has("Bearer"),
                    error: param("error"),
                    description: param("error_description"),
                    scope: ours
                        .as_ref()
                        .and_then(Challenge::scope)
                        .filter(|scope| scope.len() <= LONGEST && !masks.hide(scope))
                        .map(Into::into),
                }
            }
        };
        let outcome = match answer.status {
            Some(200..=299) => Outcome::Fine,
            Some(status) if status != 401 && status != 403 => Outcome::Suspicious,
            _ => Outcome::Failed,
        };
        steps.add("API", outcome, answer.lines());
        answer
    }
}

impl IntoFuture for Diagnose {
    type Output = Diagnosis;
    type IntoFuture = Pin<Box<dyn Future<Output = Diagnosis> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Diagnose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diagnose").field("builder", &self.builder).finish_non_exhaustive()
    }
}

fn examine_clock(findings: &Findings, steps: &mut Steps<'_>) {
    let Some(skew) = findings.skew() else {
        return steps.add("clock", Outcome::Skipped, vec!["the server sent no Date".to_owned()]);
    };
    let (outcome, line) = match skew.unsigned_abs() {
        seconds @ 0..=59 => (Outcome::Fine, format!("{seconds} s from the server's Date")),
        seconds => {
            let direction = if skew > 0 { "ahead of" } else { "behind" };
            (Outcome::Suspicious, format!("{} {direction} the server's Date", span(seconds)))
        }
    };
    steps.add("clock", outcome, vec![line]);
}
