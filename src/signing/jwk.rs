//! A JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037 section 2), private or public.

use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::SigningAlgorithm;
use super::curve::{CURVES, Curve, Pair};
use crate::json::wipe;
use crate::pem::looks_like;

/// Wiped when dropped.
pub(super) struct Jwk(Value);

/// `kty` and `crv`.
pub(super) enum Kind {
    Rsa,
    Ec(&'static Curve),
    Ed25519,
}

impl Drop for Jwk {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl Jwk {
    /// Whether a text is intended as a JWK.
    pub(super) fn is_meant(text: &str) -> bool {
        text.trim_start().starts_with('{')
    }

    /// From a JWK, or from a JWK set (RFC 7517 section 5) with one key of the `wanted` ones.
    pub(super) fn parse(text: &str, wanted: fn(&Value) -> bool) -> Result<Self, String> {
        // The errors of serde_json quote the input, which may be the key.
        let value = serde_json::from_str(text).map_err(|_| format!("is not valid JSON{}", looks_like(text)))?;
        let mut jwk = Jwk(value);
        if let Some(Value::Array(keys)) = jwk.0.get_mut("keys") {
            let count = keys.len();
            let mut found: Vec<_> = keys.iter_mut().filter(|key| wanted(key)).map(Value::take).map(Jwk).collect();
            return match (found.pop(), found.len()) {
                (Some(key), 0) => Ok(key),
                (Some(_), others) => Err(format!("is a JWK set with {} such keys: give one of them", others + 1)),
                (None, _) => Err(format!("is a JWK set of {count} keys, none of which is of use here")),
            };
        }
        match jwk.text("kty") {
            Some(_) => Ok(jwk),
            None => Err(format!("is not a JWK: it has no kty{}", looks_like(text))),
        }
    }

    /// Whether a key of a set is a private key that signs.
    pub(super) fn is_private(key: &Value) -> bool {
        let is_secret = key.get("kty").and_then(Value::as_str) == Some("oct");
        let encrypts = key.get("use").and_then(Value::as_str) == Some("enc");
        key.get("d").is_some() && !is_secret && !encrypts
    }

    pub(super) fn kind(&self) -> Result<Kind, String> {
        let curve = self.text("crv");
        match self.text("kty") {
            Some("RSA") => Ok(Kind::Rsa),
            Some("EC") => match CURVES.iter().find(|known| Some(known.name) == curve) {
                Some(curve) => Ok(Kind::Ec(curve)),
                None => Err("is a JWK whose crv is none of P-256, P-384, P-521".into()),
            },
            Some("OKP") if curve == Some("Ed25519") => Ok(Kind::Ed25519),
            Some("OKP") => Err("is a JWK whose crv is not Ed25519".into()),
            Some("oct") => Err("is a JWK of a shared secret (kty oct), not of a key pair".into()),
            _ => Err("is a JWK whose kty is none of RSA, EC, OKP".into()),
        }
    }

    pub(super) fn pair(&self) -> Result<Pair, String> {
        match self.kind()? {
            Kind::Rsa => self.rsa(),
            Kind::Ec(curve) => EcdsaKeyPair::from_private_key_and_public_key(
                curve.signing,
                &padded(&self.bytes("d")?, curve.bytes),
                &self.point(curve)?,
            )
            .map(|pair| Pair::Ec(curve, pair.into()))
            .map_err(|_| format!("is a JWK with a {} key that cannot be used", curve.name)),
            Kind::Ed25519 => Ed25519KeyPair::from_seed_and_public_key(&self.bytes("d")?, &self.bytes("x")?)
                .map(|pair| Pair::Ed25519(pair.into()))
                .map_err(|_| "is a JWK with an Ed25519 key that cannot be used".into()),
        }
    }

    pub(super) fn algorithm(&self) -> Result<Option<SigningAlgorithm>, String> {
        let known = |name: &str| name.parse().map_err(|_| "is a JWK whose alg is not known here".to_owned());
        self.text("alg").map(known).transpose()
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

    /// SEC 1 section 2.3.3: an uncompressed point.
    pub(super) fn point(&self, curve: &Curve) -> Result<Vec<u8>, String> {
        let mut point = vec![4];
        for coordinate in [self.bytes("x")?, self.bytes("y")?] {
            point.extend_from_slice(&padded(&coordinate, curve.bytes));
        }
        Ok(point)
    }

    fn text(&self, member: &str) -> Option<&str> {
        self.0.get(member).and_then(Value::as_str)
    }

    pub(super) fn bytes(&self, member: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let text = self.text(member).ok_or_else(|| match member {
            "d" => "is a JWK of a public key: it has no d".to_owned(),
            _ => format!("is a JWK without {member}"),
        })?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
        // Some producers pad, in violation of RFC 7515 section 2.
        URL_SAFE_NO_PAD
            .decode_vec(text.trim_end_matches('='), &mut bytes)
            .map_err(|_| format!("is a JWK whose {member} is not base64url"))?;
        Ok(bytes)
    }

    /// Without leading zeros, which some producers write.
    pub(super) fn number(&self, member: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let bytes = self.bytes(member)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Ok(Zeroizing::new(bytes.get(zeros..).unwrap_or_default().to_vec()))
    }
}

/// The number with a fixed length (RFC 7518 section 6.2.1.2). Some producers omit leading zeros.
fn padded(number: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut padded = Zeroizing::new(Vec::with_capacity(length.max(number.len())));
    padded.resize(length.saturating_sub(number.len()), 0);
    padded.extend_from_slice(number);
    padded
}
