//! What a token is of no use without, beside itself: a key (RFC 9449) or a certificate (RFC 8705) of this replica. It is
//! shared with those who have the same, by its thumbprint in the name of the record.

#[cfg(feature = "mtls")]
use crate::client_auth::ClientAuth;
#[cfg(feature = "dpop")]
use crate::dpop::DpopKey;
use crate::error::Error;
use crate::token::Holder;

/// What this replica has. Nothing: its tokens are bearer tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct BoundTo {
    #[cfg(feature = "dpop")]
    pub(crate) key: Option<DpopKey>,
    /// The token response does not say whether the token is bound to it.
    #[cfg(feature = "mtls")]
    pub(crate) certificate: Option<ClientAuth>,
}

impl BoundTo {
    /// As it is now: keys and certificates are rotated.
    pub(crate) async fn holder(&self) -> Result<Holder, Error> {
        let holder = Holder::default();
        #[cfg(feature = "dpop")]
        let holder = Holder {
            key: match &self.key {
                Some(key) => Some(key.binding().await? as _),
                None => None,
            },
            ..holder
        };
        #[cfg(feature = "mtls")]
        let holder = Holder {
            certificate: match &self.certificate {
                Some(auth) => auth.shown_identity().await?,
                None => None,
            },
            ..holder
        };
        Ok(holder)
    }
}

/// `None`: whoever has the token can use it.
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
