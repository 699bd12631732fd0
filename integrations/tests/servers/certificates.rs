//! Keys and certificates, new for each run.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::Result;

/// Signs the servers' certificates and those of clients.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
    /// The public half, as a client registers it: with `x5c`.
    pub(crate) jwk: Value,
}

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "the tests' own CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Authority(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    pub(crate) fn certificate(&self) -> String {
        self.0.pem()
    }

    /// For a server on loopback.
    pub(crate) fn server(&self) -> Result<Identity> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        self.sign(names.to_vec(), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a client of this (DNS) name.
    pub(crate) fn client(&self, name: &str) -> Result<Identity> {
        self.sign(vec![name.to_owned()], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, names: Vec<String>, usage: ExtendedKeyUsagePurpose) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.extended_key_usages.push(usage);
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(identity(&certificate, &key))
    }
}

/// A self-signed client certificate.
pub(crate) fn self_signed(name: &str) -> Result<Identity> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![name.to_owned()])?.self_signed(&key)?;
    Ok(identity(&certificate, &key))
}

fn identity(certificate: &rcgen::Certificate, key: &KeyPair) -> Identity {
    let mut jwk = public_jwk(key);
    jwk["x5c"] = json!([STANDARD.encode(certificate.der())]);
    Identity { certificate: certificate.pem(), key: key.serialize_pem(), jwk }
}

/// A new key for ES256: PKCS#8 in PEM, and its JWK for the server.
pub(crate) fn signing_key() -> Result<(String, Value)> {
    let key = KeyPair::generate()?;
    let mut jwk = public_jwk(&key);
    jwk["alg"] = json!("ES256");
    jwk["use"] = json!("sig");
    Ok((key.serialize_pem(), jwk))
}

/// RFC 7518 section 6.2.1, of an uncompressed point on P-256, rcgen's default.
pub(crate) fn public_jwk(key: &KeyPair) -> Value {
    let (x, y) = match key.public_key_raw() {
        [4, point @ ..] => point.split_at(point.len() / 2),
        _ => Default::default(),
    };
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode(x),
        "y": URL_SAFE_NO_PAD.encode(y),
    })
}
