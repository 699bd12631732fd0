//! Whether a connection failed in TLS because of trust or compatibility, which a retry does not change.

use std::error::Error as StdError;

/// Why a handshake with `peer` failed and what to do, if another attempt would fail, too.
#[cfg(feature = "rustls")]
pub(super) fn tls_failure(e: &(dyn StdError + 'static), peer: &str) -> Option<String> {
    use rustls::{AlertDescription as Alert, CertificateError as Flaw, Error as Tls};

    // We did not accept the server's certificate, the server ended the handshake, or they have nothing in common.
    let not_trusted = |remedy| Some(format!("TLS certificate verification failed for {peer}{remedy}"));
    let refused = |remedy| Some(format!("{peer} refused the TLS connection{remedy}"));
    let incompatible = || {
        Some(format!(
            "{peer} and this client have no TLS version or cipher in common (this client supports TLS 1.2 and 1.3)"
        ))
    };
    match tls_error(e)? {
        Tls::InvalidCertificate(flaw) => not_trusted(match flaw {
            Flaw::UnknownIssuer => "; add its CA to the client (HttpClient), or does a proxy intercept TLS?",
            Flaw::Expired | Flaw::ExpiredContext { .. } | Flaw::NotValidYet | Flaw::NotValidYetContext { .. } => {
                "; look at its dates and at this machine's clock"
            }
            Flaw::NotValidForName | Flaw::NotValidForNameContext { .. } => "; it is for another host name",
            _ => "",
        }),
        Tls::InvalidCertRevocationList(_) | Tls::NoCertificatesPresented | Tls::UnsupportedNameType => not_trusted(""),
        Tls::PeerIncompatible(_) | Tls::NoApplicationProtocol => incompatible(),
        Tls::AlertReceived(alert) => match alert {
            Alert::CertificateRequired | Alert::NoCertificate => {
                refused("; it requires a client certificate (ClientAuth::mutual_tls)")
            }
            // This is the only alert of a TLS 1.2 server that requires a certificate (RFC 5246 section 7.4.6).
            Alert::HandshakeFailure => refused(
                "; it requires a client certificate (ClientAuth::mutual_tls), or there is no TLS version or cipher in common",
            ),
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
            | Alert::CertificateUnobtainable
            | Alert::BadCertificateStatusResponse
            | Alert::BadCertificateHashValue => refused("; is this client's certificate the right one?"),
            Alert::ProtocolVersion | Alert::InsufficientSecurity | Alert::NoApplicationProtocol => incompatible(),
            Alert::UnrecognisedName => refused("; it has no host of this name"),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the other side does not speak TLS.
#[cfg(feature = "rustls")]
pub(super) fn is_no_tls(e: &(dyn StdError + 'static)) -> bool {
    use rustls::{Error as Tls, InvalidMessage as Flaw};
    matches!(
        tls_error(e),
        Some(Tls::InvalidMessage(Flaw::InvalidContentType | Flaw::UnknownProtocolVersion | Flaw::InvalidEmptyPayload))
    )
}

/// Searches a chain of errors. `io::Error` does not return the wrapped error from `source()`.
#[cfg(feature = "rustls")]
fn tls_error<'e>(e: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    let inner = e.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    if let Some(tls) = e.downcast_ref() {
        return Some(tls);
    }
    match inner {
        Some(inner) => tls_error(inner),
        None => e.source().and_then(tls_error),
    }
}

#[cfg(not(feature = "rustls"))]
pub(super) fn tls_failure(_: &(dyn StdError + 'static), _: &str) -> Option<String> {
    None
}

#[cfg(not(feature = "rustls"))]
pub(super) fn is_no_tls(_: &(dyn StdError + 'static)) -> bool {
    false
}

#[cfg(all(test, feature = "rustls"))]
mod tests {
    use rustls::{AlertDescription as Alert, Error as Tls};

    use super::*;

    #[test]
    fn a_certificate_that_is_not_trusted_is_reported_with_what_to_look_at() {
        use rustls::{CertRevocationListError as List, CertificateError as Flaw};
        for (error, remedy) in [
            (Tls::InvalidCertificate(Flaw::UnknownIssuer), "add its CA"),
            (Tls::InvalidCertificate(Flaw::Expired), "its dates"),
            (Tls::InvalidCertificate(Flaw::NotValidYet), "its dates"),
            (Tls::InvalidCertificate(Flaw::NotValidForName), "another host name"),
            (Tls::InvalidCertificate(Flaw::BadSignature), ""),
            (Tls::InvalidCertRevocationList(List::BadSignature), ""),
            (Tls::NoCertificatesPresented, ""),
            (Tls::UnsupportedNameType, ""),
        ] {
            let text = format!("{error:?}");
            let failure = tls_failure(&std::io::Error::other(error), "x").unwrap();
            let told = failure.strip_prefix("TLS certificate verification failed for x").expect(&text);
            assert_eq!((told.is_empty(), told.contains(remedy)), (remedy.is_empty(), true), "{text}: {told}");
        }
    }

    #[test]
    fn alerts_about_certificates_and_ciphers_are_tls_failures_and_not_an_outage() {
        // FE16
        for (alert, is_failure) in [
            (Alert::HandshakeFailure, true),
            (Alert::CertificateRequired, true),
            (Alert::InsufficientSecurity, true),
            (Alert::UnrecognisedName, true),
            (Alert::DecryptError, true),
            (Alert::CloseNotify, false),
            (Alert::InternalError, false),
            (Alert::UserCanceled, false),
        ] {
            let e = std::io::Error::other(std::io::Error::other(Tls::AlertReceived(alert)));
            assert_eq!(tls_failure(&e, "x").is_some(), is_failure, "{alert:?}");
        }
        assert_eq!(tls_failure(&std::io::Error::other("tls"), "x"), None);
        assert!(!is_no_tls(&std::io::Error::other(Tls::AlertReceived(Alert::InternalError))));
        assert!(is_no_tls(&std::io::Error::other(Tls::InvalidMessage(rustls::InvalidMessage::InvalidContentType))));
    }
}
