//! The key (RFC 9449) or certificate (RFC 8705) of this replica to which tokens are bound. Its thumbprint is part of the
//! record's name, so that such a token is shared only between replicas with the same key or certificate.

#[cfg(feature = "mtls")]
use crate::client_auth::ClientAuth;
#[cfg(feature = "dpop")]
use crate::dpop::DpopKey;
use crate::error::Error;
use crate::token::Holder;

/// The key and certificate of this replica; without either, its tokens are bearer tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct BoundTo {
    #[cfg(feature = "dpop")]
    pub(crate) key: Option<DpopKey>,
    /// The token response does not state whether the token is bound to it.
    #[cfg(feature = "mtls")]
    pub(crate) certificate: Option<ClientAuth>,
}

impl BoundTo {
    /// The current key and certificate, which may be rotated.
    pub(crate) async fn holder(&self) -> Result<Holder, Error> {
        #[cfg_attr(not(any(feature = "dpop", feature = "mtls")), expect(unused_mut, reason = "no token is bound"))]
        let mut holder = Holder::default();
        #[cfg(feature = "dpop")]
        if let Some(key) = &self.key {
            holder.key = Some(key.binding().await?);
        }
        #[cfg(feature = "mtls")]
        if let Some(auth) = &self.certificate {
            holder.certificate = auth.shown_identity().await?;
        }
        Ok(holder)
    }
}

/// `None`: a bearer token.
pub(crate) fn thumbprint(holder: &Holder) -> Option<Vec<u8>> {
    let parts: &[(&[u8], Option<&[u8]>)] = &[
        (b"jkt ", holder.key.as_ref().map(|key| key.thumbprint().as_bytes())),
        #[cfg(feature = "mtls")]
        (b" x5t#S256 ", holder.certificate.as_ref().map(|shown| shown.thumbprint())),
    ];
    let held = parts.iter().filter_map(|(label, part)| Some([label, (*part)?].concat()));
    let thumbprint = held.collect::<Vec<_>>().concat();
    (!thumbprint.is_empty()).then_some(thumbprint)
}
