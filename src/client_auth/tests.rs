use super::*;
use crate::clock::manual;

pub(super) fn proof(auth: &ClientAuth) -> Proof {
    let (clock, _) = manual::clock();
    let evidence = futures_now(auth.read(0)).unwrap().unwrap();
    futures_now(auth.prove(&evidence, None, clock.now())).unwrap().unwrap()
}

fn futures_now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn control_characters_are_refused_in_id_and_secret() {
    // F02, F05
    let fields = |auth: ClientAuth| auth.faults(true).into_iter().map(|(field, _)| field).collect::<Vec<_>>();
    for control in (0..0x20_u8).chain([0x7f]).map(char::from) {
        let text = format!("a{control}b");
        assert_eq!(fields(ClientAuth::client_secret_post(text.clone(), "s")), ["client_id"], "{control:?}");
        assert_eq!(fields(ClientAuth::client_secret_post("id", text)), ["client_secret"], "{control:?}");
    }
    assert_eq!(fields(ClientAuth::client_secret_basic("", "")), ["client_id", "client_secret"]);
    assert_eq!(fields(ClientAuth::client_secret_basic_raw("a:b", "s")), ["client_id"]);
    assert!(fields(ClientAuth::client_secret_basic("ünïcödé", "sécret €")).is_empty());
}

#[test]
fn an_assertion_made_elsewhere_is_sent_as_it_is() {
    let params = |auth: &ClientAuth| -> Vec<(String, String)> {
        let params = proof(auth).params.into_iter();
        params.map(|(n, v)| (n.into(), v.to_string())).collect()
    };
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect()
    };
    let assertion = ClientAuth::client_assertion("a.b.c");
    assert_eq!(
        params(&assertion.clone().into()),
        pairs(&[("client_assertion_type", JWT_BEARER), ("client_assertion", "a.b.c")])
    );
    let auth = assertion.client_id("me").assertion_type("urn:x").into();
    assert_eq!(
        params(&auth),
        pairs(&[("client_id", "me"), ("client_assertion_type", "urn:x"), ("client_assertion", "a.b.c")])
    );
    assert!(auth.faults(true).is_empty());
}

#[test]
fn the_credential_that_was_accepted_is_tried_first_by_all_clones() {
    let auth = ClientAuth::client_secret_post("id", Credential::from("a").or("b").or("c"));
    assert_eq!(auth.places(), [0, 1, 2, 0]);
    auth.clone().accept(1, &Evidence::Nothing);
    assert_eq!(auth.places(), [1, 2, 0, 1]);
    assert_eq!(ClientAuth::none("id").places(), [0]);
}

#[test]
fn of_two_credentials_one_is_enough_and_of_none_both_are_named() {
    let fault = |secret: Credential| {
        let auth = ClientAuth::client_secret_post("id", secret);
        auth.faults(true).into_iter().map(|(_, flaw)| flaw).next()
    };
    let (one, other) = ("NO_SUCH_VARIABLE_1", "NO_SUCH_VARIABLE_2");
    assert_eq!(fault(Credential::env(one).or("a value")), None);
    assert_eq!(fault(Credential::env(one).or(Credential::file("/x"))), None);
    let text = fault(Credential::env(one).or(Credential::env(other))).unwrap();
    assert!(text.contains(one) && text.contains(other), "{text}");
    assert!(fault(Credential::from("a value").or("")).is_some());
}

#[cfg(feature = "jwt")]
const SELF_SIGNED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/self_signed.crt"));
/// Of the same key.
#[cfg(feature = "jwt")]
const SELF_SIGNED_AGAIN: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/self_signed_again.crt"));
#[cfg(feature = "jwt")]
const SELF_SIGNED_KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/self_signed.key"));

#[cfg(feature = "jwt")]
#[tokio::test]
async fn an_emptied_key_file_and_a_damaged_certificate_beside_a_good_one_are_survived() {
    let folder = std::env::temp_dir().join(format!("client-credentials-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (key, damaged) = (folder.join("key.pem"), folder.join("damaged.crt"));
    std::fs::write(&key, SELF_SIGNED_KEY).unwrap();
    std::fs::write(&damaged, "-----BEGIN CERTIFICATE-----\nMII").unwrap();
    let auth: ClientAuth = ClientAuth::private_key_jwt("me", Credential::file(&key))
        .certificate(Credential::file(&damaged).or(SELF_SIGNED))
        .audience("x")
        .into();
    let first = auth.read(0).await;
    // What `> key.pem` and most editors do first.
    std::fs::write(&key, "").unwrap();
    let second = auth.read(0).await;
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(first.is_ok_and(|first| second.is_ok_and(|second| first.is(&second))));
}

#[cfg(feature = "jwt")]
#[tokio::test]
async fn the_second_certificate_of_one_key_has_its_turn() {
    let auth = |second: &str| -> ClientAuth {
        ClientAuth::private_key_jwt("me", SELF_SIGNED_KEY)
            .certificate(Credential::from(SELF_SIGNED).or(second))
            .audience("x")
            .into()
    };
    let shown = async |auth: ClientAuth| {
        let mut seen: Vec<Evidence> = Vec::new();
        for place in auth.places() {
            let evidence = auth.read(place).await.unwrap();
            if !seen.iter().any(|one| one.is(&evidence)) {
                seen.push(evidence);
            }
        }
        seen.len()
    };
    assert_eq!(shown(auth(SELF_SIGNED_AGAIN)).await, 2, "thumbprints that the server is shown");
}
