//! A private key as a JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use aws_lc_rs::rsa::KeyPairComponents;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::SigningAlgorithm;
use super::signing_key::{CURVES, Pair};
use crate::json::wipe;

/// Wiped when dropped.
pub(super) struct Jwk(Value);

impl Drop for Jwk {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl Jwk {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // serde_json's errors quote what they find, which may be the key.
        serde_json::from_str(text).map(Jwk).map_err(|_| "is no complete JSON, though it begins as a JWK".into())
    }

    pub(super) fn pair(&self) -> Result<Pair, String> {
        match self.text("kty") {
            Some("RSA") => self.rsa(),
            Some("EC") => self.ec(),
            Some("OKP") => self.okp(),
            _ => Err("is a JWK whose kty is none of RSA, EC, OKP".into()),
        }
    }

    pub(super) fn algorithm(&self) -> Result<Option<SigningAlgorithm>, String> {
        match self.text("alg") {
            None => Ok(None),
            Some(name) => {
                SigningAlgorithm::named(name).map(Some).ok_or_else(|| "is a JWK whose alg is not known here".into())
            }
        }
    }

    pub(super) fn key_id(&self) -> Option<String> {
        self.text("kid").map(str::to_owned)
    }

    fn rsa(&self) -> Result<Pair, String> {
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: self.number("n")?, e: self.number("e")? },
            d: self.number("d")?,
            p: self.number("p")?,
            q: self.number("q")?,
            dP: self.number("dp")?,
            dQ: self.number("dq")?,
            qInv: self.number("qi")?,
        };
        RsaKeyPair::from_components(&components)
            .map(|pair| Pair::Rsa(pair.into()))
            .map_err(|_| "is a JWK with an RSA key that cannot be used (2048 to 8192 bits?)".into())
    }

    fn ec(&self) -> Result<Pair, String> {
        let name = self.text("crv");
        let Some(curve) = CURVES.iter().find(|curve| Some(curve.name) == name) else {
            return Err("is a JWK whose crv is none of P-256, P-384, P-521".into());
        };
        // SEC 1 section 2.3.3: an uncompressed point.
        let mut public = vec![4];
        for coordinate in [self.bytes("x")?, self.bytes("y")?] {
            public.extend_from_slice(&padded(&coordinate, curve.bytes));
        }
        let private = padded(&self.bytes("d")?, curve.bytes);
        EcdsaKeyPair::from_private_key_and_public_key(curve.signing, &private, &public)
            .map(|pair| Pair::Ec(curve, pair.into()))
            .map_err(|_| format!("is a JWK with a {} key that cannot be used", curve.name))
    }

    fn okp(&self) -> Result<Pair, String> {
        if self.text("crv") != Some("Ed25519") {
            return Err("is a JWK whose crv is not Ed25519".into());
        }
        Ed25519KeyPair::from_seed_and_public_key(&self.bytes("d")?, &self.bytes("x")?)
            .map(|pair| Pair::Ed25519(pair.into()))
            .map_err(|_| "is a JWK with an Ed25519 key that cannot be used".into())
    }

    fn text(&self, member: &str) -> Option<&str> {
        self.0.get(member).and_then(Value::as_str)
    }

    fn bytes(&self, member: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let text = self.text(member).ok_or_else(|| match member {
            "d" => "is a JWK of a public key: it has no d".to_owned(),
            _ => format!("is a JWK without {member}"),
        })?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
        // Some producers pad, against RFC 7515 section 2.
        URL_SAFE_NO_PAD
            .decode_vec(text.trim_end_matches('='), &mut bytes)
            .map_err(|_| format!("is a JWK whose {member} is not base64url"))?;
        Ok(bytes)
    }

    /// Without leading zeros, which some producers write.
    fn number(&self, member: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let bytes = self.bytes(member)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Ok(Zeroizing::new(bytes.get(zeros..).unwrap_or_default().to_vec()))
    }
}

/// Of fixed length (RFC 7518 section 6.2.1.2); some producers leave leading zeros out.
pub(super) fn padded(number: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut padded = Zeroizing::new(Vec::with_capacity(length.max(number.len())));
    padded.resize(length.saturating_sub(number.len()), 0);
    padded.extend_from_slice(number);
    padded
}
