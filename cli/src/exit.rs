//! Exit codes, and how failures are printed.

use std::io::Write;
use std::process::ExitCode;

use client_credentials::{Cause, Error, ErrorKind};

/// What went wrong, and the code that says so.
pub(crate) struct Failure {
    code: u8,
    /// `None`: it was reported already.
    text: Option<String>,
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Failure { code: 2, text: Some(text.into()) }
    }

    pub(crate) fn credential(text: impl Into<String>) -> Self {
        Failure { code: 3, text: Some(text.into()) }
    }

    pub(crate) fn api(text: impl Into<String>) -> Self {
        Failure { code: 8, text: Some(text.into()) }
    }

    pub(crate) fn other(text: impl Into<String>) -> Self {
        Failure { code: 1, text: Some(text.into()) }
    }

    pub(crate) fn told(code: u8) -> Self {
        Failure { code, text: None }
    }

    /// The reader has closed the pipe, or a disk is full.
    pub(crate) fn output(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::told(1),
            _ => Failure::other(format!("the output cannot be written: {error}")),
        }
    }

    pub(crate) fn tell(&self, json: bool) {
        let Some(text) = &self.text else { return };
        let mut stderr = std::io::stderr();
        let _ = match json {
            true => writeln!(stderr, "{}", serde_json::json!({"error": text, "exit_code": self.code})),
            false => writeln!(stderr, "client-credentials: {text}"),
        };
    }
}

/// What does not keep the call from success.
pub(crate) fn warn(text: &str, json: bool) {
    let mut stderr = std::io::stderr();
    let _ = match json {
        true => writeln!(stderr, "{}", serde_json::json!({"warning": text})),
        false => writeln!(stderr, "client-credentials: {text}"),
    };
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Configuration => 2,
            ErrorKind::Credential => 3,
            ErrorKind::Denied => 4,
            ErrorKind::Throttled => 5,
            ErrorKind::Transport | ErrorKind::Tls => 6,
            ErrorKind::Response => 7,
            _ => 1,
        };
        let hint = if code > 2 { " (client-credentials diagnose says more)" } else { "" };
        Failure { code, text: Some(format!("{error:#}{hint}")) }
    }
}

impl From<reqwest_middleware::Error> for Failure {
    fn from(error: reqwest_middleware::Error) -> Self {
        if let Some(ours) = Error::find(&error) {
            return ours.clone().into();
        }
        // This variant prints its causes in the alternate form.
        let error = reqwest_middleware::Error::middleware(error.without_url());
        Failure::api(format!("the API cannot be reached: {error:#}"))
    }
}

pub(crate) fn code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.code),
    }
}

pub(crate) fn of_cause(cause: Cause) -> u8 {
    use Cause::*;
    match cause {
        Works => 0,
        Configuration => 2,
        CredentialUnreadable | CredentialEdges | CredentialExpired => 3,
        Quota => 5,
        Tls | Dns | ConnectionRefused | Proxy | Timeout => 6,
        NotATokenEndpoint | Metadata | Outage => 7,
        ApiAudience | ApiDpop | ApiScope | Api => 8,
        ClientRefused | SecretId | BasicEncoding | MethodNotSupported | GrantNotAllowed | Scope
        | AudienceOrResource | Clock | Assertion | DpopRequired => 4,
        _ => 1,
    }
}
