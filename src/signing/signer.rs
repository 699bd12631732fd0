//! Keys in a KMS, an HSM or an agent.

use std::fmt;
use std::pin::Pin;

use super::SigningAlgorithm;
use super::curve::CURVES;
use crate::error::Error;
use crate::x509::{INTEGER, SEQUENCE, element};

/// Signs with a key that stays in a key management service or an HSM.
///
/// For [`ClientAuth::private_key_jwt_with_signer`](crate::ClientAuth::private_key_jwt_with_signer) and `DpopKey::from_signer`
/// (feature `dpop`). It is called once for each attempt to fetch a token, within the fetch and its timeout; if it panics, the
/// fetch fails with an error. With DPoP it is also called for each request to an API, with a timeout of 10 s; if it hangs or
/// panics, only that request fails.
///
/// ```
/// use client_credentials::{ClientAuth, Signer, SigningAlgorithm, SigningFuture};
///
/// #[derive(Debug)]
/// struct Kms { key: String }
///
/// impl Signer for Kms {
///     fn algorithm(&self) -> SigningAlgorithm { SigningAlgorithm::ES256 }
///     fn key_id(&self) -> Option<String> { Some(self.key.clone()) }
///     fn sign<'a>(&'a self, message: &'a [u8]) -> SigningFuture<'a> {
///         Box::pin(async move {
///             call_the_service(&self.key, message)
///                 .await
///                 .map_err(Into::into)
///         })
///     }
/// }
/// # async fn call_the_service(_: &str, _: &[u8]) -> Result<Vec<u8>, std::io::Error> { Ok(Vec::new()) }
/// let auth = ClientAuth::private_key_jwt_with_signer(
///     "billing",
///     Kms {
///         key: "2026-11".into(),
///     },
/// );
/// ```
pub trait Signer: fmt::Debug + Send + Sync {
    /// Returns the algorithm of [`sign`](Self::sign).
    fn algorithm(&self) -> SigningAlgorithm;

    /// Returns `kid` (RFC 7515 section 4.1.4). Called just before each signature, so that a rotated key can have a new one.
    fn key_id(&self) -> Option<String>;

    /// Signs `message`, which has not been hashed.
    ///
    /// An ECDSA signature may be in JWS format (RFC 7518 section 3.4: `r` and `s` concatenated) or in DER, as AWS KMS, Google
    /// Cloud KMS and OpenSSL return it.
    ///
    /// # Errors
    ///
    /// An error becomes the source of a transient error of kind [`Credential`](crate::ErrorKind::Credential), so the fetch
    /// tries again. Keep secrets out of its text.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the timeout of the fetch or of the proof passes, or when the request is dropped.
    fn sign<'a>(&'a self, message: &'a [u8]) -> SigningFuture<'a>;
}

/// The future returned by [`Signer::sign`].
pub type SigningFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>> + Send + 'a>>;

/// The signature of `message` in the form of JWS.
pub(crate) async fn signature(signer: &dyn Signer, message: &[u8]) -> Result<Vec<u8>, Error> {
    let signature = signer.sign(message).await.map_err(|e| Error::of_credential("the signer failed").because(e))?;
    let algorithm = signer.algorithm();
    let half = match CURVES.iter().find(|curve| curve.algorithm == algorithm) {
        Some(curve) => curve.bytes,
        None if signature.is_empty() => return Err(Error::of_credential("the signer gave an empty signature")),
        None => return Ok(signature),
    };
    if signature.len() == 2 * half {
        return Ok(signature);
    }
    from_der(&signature, half)
        .ok_or_else(|| Error::of_credential("the signer's signature has neither the form of JWS nor DER"))
}

/// `ECDSA-Sig-Value` (RFC 3279 section 2.2.3), a sequence of two integers, as two numbers of `half` bytes.
fn from_der(der: &[u8], half: usize) -> Option<Vec<u8>> {
    let (sequence, rest) = element(der, SEQUENCE)?;
    let (r, s) = element(sequence, INTEGER)?;
    let (s, end) = element(s, INTEGER)?;
    if !rest.is_empty() || !end.is_empty() {
        return None;
    }
    let mut fixed = Vec::with_capacity(2 * half);
    for number in [r, s] {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let digits = number.get(zeros..)?;
        fixed.resize(fixed.len() + half.checked_sub(digits.len())?, 0);
        fixed.extend_from_slice(digits);
    }
    Some(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_der_signature_is_converted_to_two_numbers() {
        let der = [0x30, 0x07, 0x02, 0x02, 0x00, 0x81, 0x02, 0x01, 0x05];
        assert_eq!(from_der(&der, 4).unwrap(), [0, 0, 0, 0x81, 0, 0, 0, 5]);
        // P-521: the length of the sequence takes two bytes.
        let number = [&[0x02, 66][..], &[1; 66]].concat();
        let der = [&[0x30, 0x81, 136][..], &number, &number].concat();
        assert_eq!(from_der(&der, 66).unwrap(), [1; 132]);
    }

    #[derive(Debug)]
    struct Gives(SigningAlgorithm, Vec<u8>);

    impl Signer for Gives {
        fn algorithm(&self) -> SigningAlgorithm {
            self.0
        }

        fn key_id(&self) -> Option<String> {
            None
        }

        fn sign<'a>(&'a self, _: &'a [u8]) -> SigningFuture<'a> {
            Box::pin(async { Ok(self.1.clone()) })
        }
    }

    #[tokio::test]
    async fn a_jws_signature_is_unchanged() {
        use SigningAlgorithm::{ES256, ES384, ES512, EdDSA, RS256};

        for (algorithm, length) in [(ES256, 64), (ES384, 96), (ES512, 132), (RS256, 256), (EdDSA, 64), (RS256, 1)] {
            let raw = vec![0x30; length];
            assert_eq!(signature(&Gives(algorithm, raw.clone()), b"x").await.unwrap(), raw, "{algorithm:?}");
        }
        for (algorithm, length) in [(ES256, 0), (ES256, 63), (ES384, 64), (ES512, 128), (RS256, 0), (EdDSA, 0)] {
            let error = signature(&Gives(algorithm, vec![0; length]), b"x").await.unwrap_err();
            assert!(error.kind() == ErrorKind::Credential && error.is_transient(), "{algorithm:?} {length}: {error}");
        }
    }

    #[test]
    fn an_invalid_signature_is_refused() {
        let too_long = [0x30, 0x08, 0x02, 0x03, 0x01, 0x02, 0x03, 0x02, 0x01, 0x05];
        assert_eq!(from_der(&too_long, 2), None);
        let cut = [0x30, 0x07, 0x02, 0x02, 0x00, 0x81, 0x02, 0x01];
        assert_eq!(from_der(&cut, 4), None);
        let followed = [0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x05, 0x00];
        assert_eq!(from_der(&followed, 4), None);
        assert_eq!(from_der(&[], 4), None);
        let set = [0x31, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x05];
        assert_eq!(from_der(&set, 4), None);
        let long_set = [0x31, 0x81, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x05];
        assert_eq!(from_der(&long_set, 4), None);
    }
}
