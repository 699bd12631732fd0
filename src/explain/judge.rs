//! From the findings to the cause and to what to change (pure).

mod api;
mod connection;
mod endpoint;
mod refusal;

use super::claims::span;
use super::diagnosis::{Cause, Diagnosis, Step};
use super::findings::Findings;
use crate::credential::Shape;
use crate::error::{Error, ErrorKind};
use crate::grant::code::as_known;
use crate::grant::request::{JOINED, is_joined};
use crate::token::AccessToken;

pub(super) fn judge(findings: &Findings, steps: Vec<Step>) -> Diagnosis {
    let mut verdict = verdict(findings);
    let cause = verdict.cause;
    if let Some(skew) = findings.skew().filter(|skew| skew.unsigned_abs() >= 60 && cause != Cause::Clock) {
        let skew = span(skew.unsigned_abs());
        verdict = verdict.advise(format!("also: the clock differs by {skew} from the server's; set it (NTP)"));
    }
    let flaws: Vec<_> = findings.shapes.iter().flat_map(|shape| shape.flaws.iter().copied()).collect();
    if !flaws.is_empty() && !matches!(cause, Cause::CredentialEdges | Cause::Works) {
        verdict = verdict.advise(format!("also: the credential {}", flaws.join(" and ")));
    }
    Diagnosis { steps, token_requests: findings.token_requests, ..verdict }
}

impl Diagnosis {
    fn of(cause: Cause, summary: impl Into<String>) -> Self {
        Diagnosis { steps: Vec::new(), cause, summary: summary.into(), advice: Vec::new(), token_requests: 0 }
    }

    fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }

    /// None, one or several pieces of advice.
    fn advise_all<T: Into<String>>(mut self, advice: impl IntoIterator<Item = T>) -> Self {
        self.advice.extend(advice.into_iter().map(Into::into));
        self
    }
}

fn verdict(findings: &Findings) -> Diagnosis {
    if !findings.draft.faults.is_empty() {
        return Diagnosis::of(Cause::Configuration, "The configuration is not usable.")
            .advise_all(findings.draft.faults.lines());
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

/// The network steps alone, where no token request was wanted.
fn without_token(findings: &Findings) -> Diagnosis {
    connection::unreached(findings)
        .or_else(|| findings.seen.error.as_ref().map(|error| connection::failed(findings, error)))
        .or_else(|| edges(findings))
        .unwrap_or_else(|| {
            Diagnosis::of(Cause::Works, "Nothing is wrong as far as this shows: no token was requested.")
        })
}

fn with_token(findings: &Findings, token: &AccessToken) -> Diagnosis {
    if let Some(verdict) = findings.api.as_ref().and_then(|answer| api::refused(findings, token, answer)) {
        return verdict;
    }
    let missing = findings.not_granted(token);
    if !missing.is_empty() {
        let summary = format!("A token was issued, but without the scope {}.", missing.join(" "));
        return Diagnosis::of(Cause::Scope, summary)
            .advise_all(joined(findings.draft.params.scope()))
            .advise("have the scope granted to the client at the authorization server")
            .advise("or request less: AccessToken::scope returns what is granted");
    }
    let checked = if findings.api.is_some() { ", and the API accepts it" } else { "" };
    Diagnosis::of(Cause::Works, format!("It works: a token was issued{checked}."))
}

fn refused(findings: &Findings, error: &Error) -> Diagnosis {
    let text = sentence(error);
    match error.kind() {
        ErrorKind::Configuration => Diagnosis::of(Cause::Configuration, text),
        // An expired credential is not sent.
        ErrorKind::Credential => expired(findings, &text).or_else(|| edges(findings)).unwrap_or_else(|| match findings
            .unreadable
            .is_empty()
        {
            true => Diagnosis::of(Cause::CredentialUnreadable, text)
                .advise("provide the credential in the place that the text names"),
            false => unreadable(findings),
        }),
        ErrorKind::Throttled => Diagnosis::of(Cause::Quota, text)
            .advise_all(error.retry_after().map(|wait| format!("wait {}", span(wait.as_secs()))))
            .advise("share one source between all tasks, and one store between all processes (feature shared)")
            .advise("request a larger quota"),
        ErrorKind::Transport | ErrorKind::Tls => connection::failed(findings, error),
        _ if findings.token_requests == 0 => endpoint::not_found(findings, text),
        _ => match error.oauth() {
            Some(oauth) => {
                refusal::refused(findings, error, as_known(oauth.code()), oauth.description().unwrap_or_default())
            }
            None => endpoint::answered(findings, error),
        },
    }
}

fn unreadable(findings: &Findings) -> Diagnosis {
    if findings.unreadable.is_empty() {
        return Diagnosis::of(Cause::CredentialUnreadable, "There is no credential.").advise("give one to the method");
    }
    let summary = format!("The credential cannot be read: {}.", findings.unreadable.join("; "));
    Diagnosis::of(Cause::CredentialUnreadable, summary)
        .advise("provide the credential in the configured place, readable for this user")
        .advise("or correct the path or the name of the variable")
}

fn edges(findings: &Findings) -> Option<Diagnosis> {
    let id = Shape::of(findings.draft.builder.auth.id());
    if !id.flaws.is_empty() {
        let summary = format!("The client ID {}: it is sent that way.", id.flaws.join(" and "));
        let verdict = Diagnosis::of(Cause::CredentialEdges, summary)
            .advise("write it without: some programs read quotes in a file of variables as part of the value");
        return Some(verdict);
    }
    let shape = findings.shapes.iter().find(|shape| !shape.flaws.is_empty())?;
    let is_sent = if findings.token_requests > 0 { "it is sent that way" } else { "it is not sent" };
    let summary = format!("The credential {}: {is_sent}.", shape.flaws.join(" and "));
    let verdict = Diagnosis::of(Cause::CredentialEdges, summary)
        .advise("write it without: printf %s \"$SECRET\" > FILE instead of echo, and no quotes in the file")
        .advise("a file may end in one line break, which is dropped");
    Some(verdict)
}

/// Advice if the scope is written as a list of another kind.
fn joined(scope: Option<&str>) -> Option<String> {
    scope.filter(|scope| is_joined(scope)).map(|scope| format!("the scope {scope} {JOINED}"))
}

fn expired(findings: &Findings, text: &str) -> Option<Diagnosis> {
    let summary = format!("{}. {text}", capital(findings.expired.as_ref()?));
    let verdict = Diagnosis::of(Cause::CredentialExpired, summary)
        .advise("renew it: is the agent or the kubelet that writes the file running?")
        .advise("is the file mounted with subPath? Such a mount is not updated");
    Some(verdict)
}

fn sentence(error: &Error) -> String {
    match format!("{error:#}") {
        text if text.is_empty() => text,
        text => capital(&text) + ".",
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
