//! Whether a connection failed for want of trust, which no retry mends.

use std::error::Error as StdError;

/// Whether one side refused the other's certificate. `io::Error` does not show what it wraps as its source.
#[cfg(feature = "rustls")]
pub(super) fn tls_refusal(e: &(dyn StdError + 'static)) -> bool {
    use rustls::{AlertDescription as Alert, Error as Tls};
    let inner = e.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let tls = e.downcast_ref::<Tls>().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
    match tls {
        Some(
            Tls::InvalidCertificate(_)
            | Tls::InvalidCertRevocationList(_)
            | Tls::NoCertificatesPresented
            | Tls::UnsupportedNameType
            | Tls::PeerIncompatible(_),
        ) => true,
        Some(Tls::AlertReceived(alert)) => matches!(
            alert,
            Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::ProtocolVersion
                | Alert::CertificateRequired
        ),
        Some(_) => false,
        None => match inner {
            Some(inner) => tls_refusal(inner),
            None => e.source().is_some_and(tls_refusal),
        },
    }
}

#[cfg(not(feature = "rustls"))]
pub(super) fn tls_refusal(_: &(dyn StdError + 'static)) -> bool {
    false
}
