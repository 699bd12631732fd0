use super::*;
use crate::client_credentials::ClientCredentials;
use crate::clock::manual;
use crate::grant::request::{Params, encode, encode_json};

pub(super) fn proof(auth: &ClientAuth) -> Proof {
    let (clock, _) = manual::clock();
    let to = Recipient { issuer: None, token_endpoint: "https://auth.example.com/token" };
    let evidence = futures_now(auth.read(0, manual::clock().0.now())).unwrap().unwrap();
    futures_now(auth.prove(&evidence, to, clock.now())).unwrap().unwrap()
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
fn an_assertion_made_elsewhere_is_sent_unchanged() {
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
    let untyped: ClientAuth = ClientAuth::client_assertion("a.b.c").assertion_type("").into();
    assert!(matches!(&*untyped.faults(true), [("client_assertion_type", flaw)] if flaw.contains("empty")));
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
    for name in ["", "A=B", "A\0"] {
        let text = fault(Credential::env(name)).unwrap();
        assert!(text.contains("is not a name of an environment variable"), "{text}");
    }
}

#[cfg(feature = "jwt")]
const SELF_SIGNED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/self_signed.crt"));
/// A certificate of the same key.
#[cfg(feature = "jwt")]
const SELF_SIGNED_AGAIN: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/self_signed_again.crt"));
#[cfg(feature = "jwt")]
const SELF_SIGNED_KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/self_signed.key"));

#[cfg(feature = "jwt")]
#[tokio::test]
async fn an_empty_key_file_or_a_damaged_certificate_next_to_a_good_one_is_tolerated() {
    let folder = std::env::temp_dir().join(format!("client-credentials-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (key, damaged) = (folder.join("key.pem"), folder.join("damaged.crt"));
    std::fs::write(&key, SELF_SIGNED_KEY).unwrap();
    std::fs::write(&damaged, "-----BEGIN CERTIFICATE-----\nMII").unwrap();
    let auth: ClientAuth = ClientAuth::private_key_jwt("me", Credential::file(&key))
        .certificate(Credential::file(&damaged).or(SELF_SIGNED))
        .audience("x")
        .into();
    let first = auth.read(0, manual::clock().0.now()).await;
    // `> key.pem` and most editors truncate the file first.
    std::fs::write(&key, "").unwrap();
    let second = auth.read(0, manual::clock().0.now()).await;
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(first.is_ok_and(|first| second.is_ok_and(|second| first.is(&second))));
}

#[test]
fn no_evidence_is_the_same_as_no_evidence() {
    assert!(Evidence::Nothing.is(&Evidence::Nothing));
    assert!(!Evidence::Nothing.is(&Evidence::Secret("a".into())));
}

#[cfg(feature = "jwt")]
#[tokio::test]
async fn the_error_of_a_certificate_that_cannot_be_read_names_its_file() {
    let auth: ClientAuth = ClientAuth::private_key_jwt("me", SELF_SIGNED_KEY)
        .certificate(Credential::file("/no/such/certificate"))
        .audience("x")
        .into();
    let error = auth.read(0, manual::clock().0.now()).await.err().unwrap().to_string();
    assert!(error.contains("cannot be read") && error.contains("/no/such/certificate"), "{error}");
}

#[cfg(feature = "jwt")]
#[tokio::test]
async fn the_second_certificate_of_one_key_is_tried() {
    let auth = |second: &str| -> ClientAuth {
        ClientAuth::private_key_jwt("me", SELF_SIGNED_KEY)
            .certificate(Credential::from(SELF_SIGNED).or(second))
            .audience("x")
            .into()
    };
    let shown = async |auth: ClientAuth| {
        let mut seen: Vec<Evidence> = Vec::new();
        for place in auth.places() {
            let evidence = auth.read(place, manual::clock().0.now()).await.unwrap();
            if !seen.iter().any(|one| one.is(&evidence)) {
                seen.push(evidence);
            }
        }
        seen.len()
    };
    assert_eq!(shown(auth(SELF_SIGNED_AGAIN)).await, 2, "thumbprints that the server is shown");
}

#[test]
fn a_platforms_jwt_that_has_expired_is_not_sent() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let now = manual::clock().0.now();
    let jwt = |exp: u64| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#)));
    let (over, good) = (jwt(now.wall().as_secs() - 35), jwt(now.wall().as_secs() + 60));
    let read = |assertion: Credential, place| {
        let auth: ClientAuth = ClientAuth::client_assertion(assertion).into();
        futures_now(async { auth.read(place, now).await }).unwrap()
    };
    let error = read(over.as_str().into(), 0).err().unwrap();
    assert!(error.to_string().contains("expired 35 s ago"), "{error}");
    assert!(error.is_transient() && !error.to_string().contains(&over));
    assert!(read(good.as_str().into(), 0).is_ok());
    assert!(read(Credential::from(over.as_str()).or(good.as_str()), 1).is_ok());
    // Nor is the last one that was accepted.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("assertion");
    std::fs::write(&path, &good).unwrap();
    let file: ClientAuth = ClientAuth::client_assertion(Credential::file(&path)).into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let evidence = runtime.block_on(file.read(0, now)).unwrap();
    file.accept(0, &evidence);
    assert!(runtime.block_on(file.read(1, now)).unwrap().is(&evidence));
    let later = now.plus(Duration::from_secs(60));
    assert!(runtime.block_on(file.read(1, later)).is_err());
    // A secret is not an assertion, even if it looks like one.
    let auth = ClientAuth::client_secret_post("me", over.as_str());
    assert!(futures_now(async { auth.read(0, now).await }).unwrap().is_ok());
}

#[tokio::test]
async fn the_content_of_a_file_that_was_accepted_last_is_kept_until_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let secret = || Credential::file(&path);
    for auth in [
        ClientAuth::client_secret_basic("me", secret()),
        ClientAuth::client_secret_post("me", secret()),
        ClientAuth::client_assertion(secret()).into(),
        #[cfg(feature = "jwt")]
        ClientAuth::client_secret_jwt("me", secret()).into(),
    ] {
        std::fs::write(&path, "accepted").unwrap();
        let now = manual::clock().0.now();
        let evidence = auth.read(0, now).await.unwrap();
        assert_eq!(auth.places(), [0, 0], "{auth:?}");
        auth.accept(0, &evidence);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(auth.places(), [0, 1, 0], "{auth:?}");
        assert!(auth.read(0, now).await.is_err());
        assert!(auth.read(1, now).await.unwrap().is(&evidence), "{auth:?}");
        auth.refuse(1, &evidence);
        assert_eq!(auth.places(), [0, 0], "{auth:?}");
    }
}

#[cfg(any(feature = "jwt", feature = "mtls"))]
#[test]
fn of_key_and_certificate_the_one_with_more_places_decides_how_many_are_tried() {
    fn files(name: &str, count: usize) -> Credential {
        let file = |n| Credential::file(format!("{name}{n}"));
        (1..count).fold(file(0), |all, n| all.or(file(n)))
    }
    for (keys, certificates, tried) in [(1, 1, 1), (2, 1, 2), (1, 2, 2), (2, 2, 2)] {
        let (key, certificate) = (files("key", keys), files("crt", certificates));
        let both = {
            let mut both = [format!("{key:?}"), format!("{certificate:?}")];
            both.sort();
            both
        };
        let check = |auth: ClientAuth, shown: &Credential| {
            assert_eq!(auth.places().len(), tried + 1, "{auth:?}");
            assert_eq!(auth.credential_shown(), format!("{shown:?}"), "{auth:?}");
            let mut all: Vec<_> = auth.credentials().into_iter().map(|one| format!("{one:?}")).collect();
            all.sort();
            assert_eq!(all, both);
            let debug = format!("{auth:?}");
            assert!(both.iter().all(|one| debug.contains(one)), "{debug}");
        };
        #[cfg(feature = "jwt")]
        {
            let auth = ClientAuth::private_key_jwt("me", key.clone()).certificate(certificate.clone());
            check(auth.into(), if certificates > keys { &certificate } else { &key });
        }
        #[cfg(feature = "mtls")]
        {
            let auth = ClientAuth::mutual_tls("me", certificate.clone(), key.clone());
            check(auth, if keys > certificates { &key } else { &certificate });
        }
    }
}

#[test]
fn an_empty_secret_is_sent_where_it_is_intended() {
    // FE6
    let basic = ClientAuth::client_secret_basic("cf", Credential::empty());
    assert_eq!(basic.faults(true), []);
    assert_eq!(proof(&basic).authorization.unwrap(), "Basic Y2Y6");
    let post = ClientAuth::client_secret_post("cf", Credential::empty());
    let sent = proof(&post).params;
    assert!(sent.iter().any(|(name, value)| name == "client_secret" && value.is_empty()));
    let mistake = ClientAuth::client_secret_basic("cf", "").faults(true);
    assert!(matches!(&*mistake, [("client_secret", flaw)] if flaw.contains("Credential::empty()")), "{mistake:?}");
    let assertion: ClientAuth = ClientAuth::client_assertion(Credential::empty()).into();
    assert_eq!(assertion.faults(true).len(), 1);
    #[cfg(feature = "jwt")]
    {
        let signed: ClientAuth = ClientAuth::client_secret_jwt("cf", Credential::empty()).audience("x").into();
        assert_eq!(signed.faults(true).len(), 1, "nothing can be signed with it");
    }
}

#[tokio::test]
async fn a_byte_order_mark_at_the_start_of_a_file_is_dropped() {
    // FE6
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("secret");
    std::fs::write(&path, "\u{feff}secret\r\n").unwrap();
    let secret = Credential::file(&path).read(0).await.unwrap();
    assert_eq!(secret.expose_secret(), "secret");
}

#[cfg(feature = "mtls")]
#[test]
fn a_certificate_is_not_reported_under_a_guessed_method() {
    // FF7
    let auth = ClientAuth::mutual_tls("me", Credential::file("a"), Credential::file("b"));
    assert_eq!(auth.name(), "mutual TLS");
    assert_eq!(auth.registered_names(), ["tls_client_auth", "self_signed_tls_client_auth"]);
}

#[test]
fn the_expiry_of_certificates_and_of_assertions_with_exp_is_known() {
    fn expiry(auth: impl Into<ClientAuth>) -> Option<(CredentialKind, u64)> {
        let auth = auth.into();
        let evidence = futures_now(auth.read(0, manual::clock().0.now())).unwrap().unwrap();
        auth.expiry(&evidence).map(|(kind, at)| (kind, at.as_secs()))
    }
    // It expires in 2100.
    let jwt = "e30.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln";
    assert_eq!(expiry(ClientAuth::client_assertion(jwt)), Some((CredentialKind::Assertion, 4_102_444_800)));
    assert_eq!(expiry(ClientAuth::client_assertion("opaque")), None);
    assert_eq!(expiry(ClientAuth::client_secret_post("me", jwt)), None, "a secret, whatever it looks like");
    assert_eq!(expiry(ClientAuth::none("me")), None);
    #[cfg(any(feature = "jwt", feature = "mtls"))]
    let (certificate, key) = (
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.crt")),
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.key")),
    );
    #[cfg(any(feature = "jwt", feature = "mtls"))]
    let in_2120 = Some((CredentialKind::Certificate, 4_733_510_400));
    #[cfg(feature = "jwt")]
    {
        assert_eq!(expiry(ClientAuth::private_key_jwt("me", key).certificate(certificate)), in_2120);
        assert_eq!(expiry(ClientAuth::private_key_jwt("me", key)), None);
    }
    #[cfg(feature = "mtls")]
    assert_eq!(expiry(ClientAuth::mutual_tls("me", certificate, key)), in_2120);
}

#[test]
fn the_form_parameters_and_the_name_of_each_method_are_known() {
    for (auth, name, form, registered) in [
        (ClientAuth::client_secret_basic("id", "s"), "client_secret_basic", &[][..], &["client_secret_basic"][..]),
        (ClientAuth::client_secret_basic_raw("id", "s"), "client_secret_basic", &[], &["client_secret_basic"]),
        (
            ClientAuth::client_secret_post("id", "s"),
            "client_secret_post",
            &["client_secret", "client_id"],
            &["client_secret_post"],
        ),
        (
            ClientAuth::client_assertion("a").into(),
            "client_assertion",
            &["client_assertion", "client_assertion_type"],
            &[],
        ),
        (
            ClientAuth::client_assertion("a").client_id("id").into(),
            "client_assertion",
            &["client_assertion", "client_assertion_type", "client_id"],
            &[],
        ),
        (ClientAuth::none("id"), "none", &["client_id"], &["none"]),
        (ClientAuth::anonymous(), "anonymous", &[], &[]),
        #[cfg(feature = "jwt")]
        (
            ClientAuth::client_secret_jwt("id", "s").into(),
            "client_secret_jwt",
            &["client_assertion", "client_assertion_type"],
            &["client_secret_jwt"],
        ),
        #[cfg(feature = "jwt")]
        (
            ClientAuth::private_key_jwt("id", "k").into(),
            "private_key_jwt",
            &["client_assertion", "client_assertion_type"],
            &["private_key_jwt"],
        ),
    ] {
        assert_eq!(auth.name(), name, "{auth:?}");
        let all = ["client_secret", "client_assertion", "client_assertion_type", "client_id", "grant_type"];
        let posted: Vec<_> = all.into_iter().filter(|name| auth.posts(name)).collect();
        assert_eq!(posted, form, "{auth:?}");
        assert_eq!(auth.registered_names(), registered, "{auth:?}");
    }
}

#[test]
fn an_id_or_secret_that_basic_encodes_is_detected() {
    // RFC 6749 section 2.3.1
    for (auth, encodes) in [
        (ClientAuth::client_secret_basic("id", "secret"), false),
        (ClientAuth::client_secret_basic("id", "se/cret"), true),
        (ClientAuth::client_secret_basic("i:d", "secret"), true),
        (ClientAuth::client_secret_basic_raw("id", "se/cret"), false),
        (ClientAuth::client_secret_post("i:d", "se/cret"), false),
        (ClientAuth::none("i:d"), false),
    ] {
        let evidence = futures_now(auth.read(0, manual::clock().0.now())).unwrap().unwrap();
        assert_eq!(auth.encodes(&evidence), encodes, "{auth:?}");
    }
}

#[test]
fn the_request_carries_the_proof_where_the_method_and_explain_say() {
    let assertion = ClientAuth::client_assertion("a.b.c").client_id("id").assertion_type("urn:x");
    for auth in [
        ClientAuth::client_secret_basic("id", "s"),
        ClientAuth::client_secret_basic_raw("id", "s"),
        ClientAuth::client_secret_post("id", "s"),
        assertion.into(),
        ClientAuth::none("id"),
        ClientAuth::anonymous(),
        #[cfg(feature = "jwt")]
        ClientAuth::client_secret_jwt("id", "a secret of thirty-two characters").into(),
        #[cfg(feature = "jwt")]
        ClientAuth::private_key_jwt("id", include_str!("../testing/certificates/client.key.pem")).into(),
        #[cfg(feature = "mtls")]
        ClientAuth::mutual_tls(
            "id",
            include_str!("../testing/certificates/client.pem"),
            include_str!("../testing/certificates/client.key.pem"),
        ),
    ] {
        // A new method belongs in the list above, too.
        match auth.method {
            Method::Basic { .. } | Method::Post(_) | Method::Assertion { .. } | Method::None => {}
            #[cfg(feature = "jwt")]
            Method::Jwt(_) => {}
            #[cfg(feature = "mtls")]
            Method::MutualTls(_) => {}
        }
        let (params, header) = match auth.carrier() {
            Carrier::Params(names) => (names, None),
            Carrier::Basic => (&[][..], Some("authorization")),
            Carrier::Handshake | Carrier::Nothing => (&[][..], None),
        };
        let params: Vec<_> =
            auth.posts("client_id").then_some("client_id").into_iter().chain(params.iter().copied()).collect();
        let headers: Vec<_> = header.into_iter().collect();
        let none = Params(Vec::new());
        let form = encode(&none, proof(&auth)).body;
        let sent: Vec<_> = form_urlencoded::parse(&form).map(|(name, _)| name.into_owned()).collect();
        assert_eq!(sent, params, "{auth:?}");
        for request in [encode(&none, proof(&auth)), encode_json(&none, proof(&auth))] {
            let own: Vec<_> = request.headers.iter().filter(|(name, _)| *name != "content-type").collect();
            assert_eq!(own.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), headers, "{auth:?}");
            assert!(own.iter().all(|(_, value)| value.is_sensitive()), "{auth:?}");
        }
        let shown = ClientCredentials::builder("https://auth.example.com/token", auth.clone()).explain();
        for (items, names) in [(&shown.headers, headers), (&shown.body, params)] {
            let own = items.iter().filter(|item| item.origin == auth.name()).map(|item| &*item.name);
            assert_eq!(own.collect::<Vec<_>>(), names, "{auth:?}");
        }
        let proof = proof(&auth);
        let sends_secret = !matches!(auth.carrier(), Carrier::Handshake | Carrier::Nothing);
        assert_eq!(!proof.echoes.is_empty(), sends_secret, "{auth:?}");
        assert_eq!(auth.signs(), ["client_secret_jwt", "private_key_jwt"].contains(&auth.name()), "{auth:?}");
        let kind = proof.params.iter().find(|(name, _)| name == "client_assertion_type");
        assert!(kind.is_none_or(|(_, kind)| **kind == auth.assertion_type()), "{auth:?}");
    }
}

#[test]
fn quotes_and_blanks_of_id_and_secret_are_found() {
    let slips = |id: &str, secret: &str| {
        let auth = ClientAuth::client_secret_post(id, secret);
        let evidence = futures_now(auth.read(0, manual::clock().0.now())).unwrap().unwrap();
        auth.slips(&evidence)
    };
    assert_eq!(
        slips("\"id\"", "'s' "),
        ["the client ID is in quotes", "the secret ends with a blank", "the secret is in quotes"]
    );
    assert!(slips("id", "se+cret").is_empty());
}
