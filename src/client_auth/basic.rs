//! Client ID and secret in a header (RFC 6749 section 2.3.1, RFC 7617).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

/// RFC 6749 section 2.3.1 requires form-encoding. Servers differ: some form-decode, some only percent-decode (`+` stays `+`),
/// many do not decode at all. A space is therefore sent as `%20`, which the first two decode alike, and the characters of an
/// ordinary secret are not encoded, for the third.
const BASIC: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn percent_encoded(text: &str) -> Zeroizing<String> {
    // The largest size: growing would leave copies of the secret in memory.
    let mut encoded = Zeroizing::new(String::with_capacity(text.len().saturating_mul(3)));
    encoded.extend(utf8_percent_encode(text, BASIC));
    encoded
}

/// RFC 7617 section 2.
pub(super) fn header(id: &str, secret: &str, encoded: bool) -> Result<HeaderValue, Error> {
    let mut pair = Zeroizing::new(String::with_capacity((id.len() + secret.len()).saturating_mul(3).saturating_add(1)));
    if encoded {
        pair.extend([&**percent_encoded(id), ":", &**percent_encoded(secret)]);
    } else {
        pair.extend([id, ":", secret]);
    }
    let mut value = Zeroizing::new(String::with_capacity("Basic ".len() + pair.len().saturating_mul(2)));
    value.push_str("Basic ");
    STANDARD.encode_string(pair.as_bytes(), &mut value);
    let bytes = Bytes::from_owner(Zeroizing::new(value.as_bytes().to_vec()));
    let mut value = HeaderValue::from_maybe_shared(bytes)
        .map_err(|_| Error::of(ErrorKind::Credential, "the client credentials do not fit into a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_auth::ClientAuth;
    use crate::client_auth::tests::proof;

    fn decoded(auth: &ClientAuth) -> String {
        let proof = proof(auth);
        let header = proof.authorization.unwrap();
        assert!(header.is_sensitive());
        let encoded = header.to_str().unwrap().strip_prefix("Basic ").unwrap();
        String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
    }

    #[test]
    fn basic_is_percent_encoded_with_spaces_as_percent_20() {
        // F03
        let auth = ClientAuth::client_secret_basic("a b:c", " %&+£€:@Az09*-._~");
        assert_eq!(decoded(&auth), "a%20b%3Ac:%20%25%26%2B%C2%A3%E2%82%AC%3A%40Az09*-._~");
    }

    #[test]
    fn raw_basic_is_not_encoded() {
        assert_eq!(decoded(&ClientAuth::client_secret_basic_raw("id", "s+/=%:€")), "id:s+/=%:€");
    }

    #[test]
    fn an_ordinary_secret_is_the_same_in_both_forms() {
        let secret = "Az09*-._~";
        let both = [
            decoded(&ClientAuth::client_secret_basic("s6BhdRkqt3", secret)),
            decoded(&ClientAuth::client_secret_basic_raw("s6BhdRkqt3", secret)),
        ];
        assert_eq!(both[0], both[1]);
    }

    #[test]
    fn the_vector_of_rfc_6749() {
        // RFC 6749 section 2.3.1: czZCaGRSa3F0MzpnWDFmQmF0M2JW
        let auth = ClientAuth::client_secret_basic("s6BhdRkqt3", "gX1fBat3bV");
        let proof = proof(&auth);
        assert_eq!(proof.authorization.unwrap(), "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW");
        assert!(proof.params.is_empty(), "the body has no parameter of the client");
    }
}
