//! The step that examines the credentials.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::claims::{Claims, relative, span};
use super::diagnosis::Outcome;
use super::findings::Findings;
use super::steps::Steps;
use crate::credential::Shape;
use crate::x509;

pub(super) async fn examine_credential(findings: &mut Findings, steps: &mut Steps<'_>) {
    let now = findings.draft.now.wall();
    let secrets = findings.draft.builder.secrets.0.iter().map(|(_, credential)| credential.clone());
    let credentials: Vec<_> = findings.draft.builder.auth.credentials().into_iter().cloned().chain(secrets).collect();
    let (mut lines, mut is_flawed, mut readable) = (Vec::new(), false, credentials.is_empty());
    for credential in &credentials {
        for sighting in credential.sight().await {
            let age = sighting.age.map(|age| format!(", written {} ago", span(age.as_secs()))).unwrap_or_default();
            let secret = match sighting.secret {
                Ok(secret) => secret,
                Err(error) => {
                    lines.push(format!("{}: {error:#}", sighting.origin));
                    findings.unreadable.push(format!("{error:#}"));
                    is_flawed = true;
                    continue;
                }
            };
            readable = true;
            let text = secret.expose_secret();
            let shape = Shape::of(text);
            lines.push(format!("{}: {shape}{age}", sighting.origin));
            if let Some(claims) = Claims::of(text) {
                lines.extend(claims.lines(now));
                if let Some(at) = claims.expires.filter(|_| claims.is_expired(now)) {
                    findings.expired =
                        Some(format!("the assertion of {} expired {}", sighting.origin, relative(at, now)));
                }
                if let Some(at) = claims.not_before.filter(|at| *at > now + Duration::from_secs(60)) {
                    lines.push(format!("nbf {}", relative(at, now)));
                }
                findings.credential_claims = Some(claims);
            }
            if let Some(facts) = x509::of_pem(text) {
                lines.push(format!("certificate of {}, valid until {}", facts.subject, relative(facts.not_after, now)));
                if facts.not_after <= now {
                    findings.expired = Some(format!(
                        "the certificate of {} expired {}",
                        sighting.origin,
                        relative(facts.not_after, now)
                    ));
                }
            }
            is_flawed |= !shape.flaws.is_empty();
            findings.shapes.push(shape);
        }
    }
    findings.no_credential = !readable;
    if credentials.is_empty() {
        lines.push("the method has no credential to examine".to_owned());
    }
    let outcome = match (readable, is_flawed || findings.expired.is_some()) {
        (false, _) => Outcome::Failed,
        (true, true) => Outcome::Suspicious,
        (true, false) => Outcome::Fine,
    };
    steps.add("credential", outcome, lines);
}
