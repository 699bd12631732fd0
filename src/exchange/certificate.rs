//! Whether a connection failed in TLS because of trust or compatibility, which a retry does not change.

use std::error::Error as StdError;

/// Why a handshake failed, if another attempt would fail, too.
#[cfg_attr(not(feature = "rustls"), expect(dead_code, reason = "unused without rustls"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsFailure {
    /// We did not accept the server's certificate.
    NotTrusted(&'static str),
    /// The server ended the handshake.
    Refused(&'static str),
    /// The two sides support no common version or cipher suite.
    Incompatible,
}

impl TlsFailure {
    /// What happened, and what to do.
    pub(super) fn text(self, peer: &str) -> String {
        match self {
            TlsFailure::NotTrusted(remedy) => format!("TLS certificate verification failed for {peer}{remedy}"),
            TlsFailure::Refused(remedy) => format!("{peer} refused the TLS connection{remedy}"),
            TlsFailure::Incompatible => {
                format!("{peer} and this client have no TLS version or cipher in common (TLS 1.2 and 1.3 are spoken)")
            }
        }
    }
}

/// Searches a chain of errors. `io::Error` does not return the wrapped error from `source()`.
#[cfg(feature = "rustls")]
pub(super) fn tls_failure(e: &(dyn StdError + 'static)) -> Option<TlsFailure> {
    use rustls::{AlertDescription as Alert, CertificateError as Flaw, Error as Tls};

    match tls_error(e)? {
        Tls::InvalidCertificate(flaw) => Some(TlsFailure::NotTrusted(match flaw {
            Flaw::UnknownIssuer => "; add its CA to the client (HttpClient), or is a proxy reading along?",
            Flaw::Expired | Flaw::ExpiredContext { .. } | Flaw::NotValidYet | Flaw::NotValidYetContext { .. } => {
                "; look at its dates and at this machine's clock"
            }
            Flaw::NotValidForName | Flaw::NotValidForNameContext { .. } => "; it is for another host name",
            _ => "",
        })),
        Tls::InvalidCertRevocationList(_) | Tls::NoCertificatesPresented | Tls::UnsupportedNameType => {
            Some(TlsFailure::NotTrusted(""))
        }
        Tls::PeerIncompatible(_) | Tls::NoApplicationProtocol => Some(TlsFailure::Incompatible),
        Tls::AlertReceived(alert) => match alert {
            Alert::CertificateRequired | Alert::NoCertificate => {
                Some(TlsFailure::Refused("; it requires a client certificate (ClientAuth::mutual_tls)"))
            }
            // This is the only alert of a TLS 1.2 server that requires a certificate (RFC 5246 section 7.4.6).
            Alert::HandshakeFailure => Some(TlsFailure::Refused(
                "; it requires a client certificate (ClientAuth::mutual_tls), or there is no TLS version or cipher in common",
            )),
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
            | Alert::BadCertificateHashValue => {
                Some(TlsFailure::Refused("; is this client's certificate the right one?"))
            }
            Alert::ProtocolVersion | Alert::InsufficientSecurity | Alert::NoApplicationProtocol => {
                Some(TlsFailure::Incompatible)
            }
            Alert::UnrecognisedName => Some(TlsFailure::Refused("; it knows no host of this name")),
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
pub(super) fn tls_failure(_: &(dyn StdError + 'static)) -> Option<TlsFailure> {
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
            assert_eq!(tls_failure(&e).is_some(), is_failure, "{alert:?}");
        }
        assert_eq!(tls_failure(&std::io::Error::other("tls")), None);
        assert!(is_no_tls(&std::io::Error::other(Tls::InvalidMessage(rustls::InvalidMessage::InvalidContentType))));
    }
}
