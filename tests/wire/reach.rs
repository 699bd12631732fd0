//! Servers that are not reached: the first line of the error says what failed and what to do.

use client_credentials::{ClientAuth, ClientCredentials, Error, ErrorKind, HttpClient, RetryPolicy};

use crate::harness::canary::{SECRET, assert_no_canary};
#[cfg(feature = "rustls")]
use crate::harness::child;
#[cfg(feature = "rustls")]
use crate::harness::server::answer;
use crate::harness::server::{Server, Step};

async fn failure(url: &str, http: Option<HttpClient>) -> Error {
    let builder = ClientCredentials::builder(url, ClientAuth::client_secret_basic("billing", SECRET));
    let builder = builder.retry(RetryPolicy::new().attempts(1));
    let builder = match http {
        Some(http) => builder.http_client(http),
        None => builder,
    };
    let error = builder.build().unwrap().token().await.unwrap_err();
    assert_no_canary([format!("{error} {error:#} {error:?}")]);
    error
}

#[tokio::test]
async fn the_innermost_cause_is_in_the_first_line() {
    let refusing = Server::refusing();
    let direct = || HttpClient::from_reqwest_0_13(|| reqwest::Client::builder().no_proxy());
    let error = failure(&refusing.url("/token"), Some(direct())).await;
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Transport, true));
    for part in
        [refusing.url("/token").as_str(), "could not be reached", "refused", "client \"billing\"", "Credential(value)"]
    {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    assert_eq!(error.to_string().matches("/token").count(), 1, "the address once: {error}");
    let error = failure("https://no-such-host.invalid/token", Some(direct())).await;
    assert_eq!(error.kind(), ErrorKind::Transport);
    let text = error.to_string();
    assert!(text.contains("could not be reached") && text.contains("lookup"), "{text}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_port_that_does_not_speak_tls_is_recognized() {
    let plain = Server::start([vec![Step::Read(5), Step::write("HTTP/1.1 400 Bad Request\r\n\r\n"), Step::Fin]]);
    let error = failure(&plain.https("/token"), None).await;
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
}

#[tokio::test]
async fn a_port_that_expects_tls_is_suspected_where_a_plain_request_gets_no_response() {
    // FB14: an alert (RFC 8446 section 6), nothing, a reset
    let alert = Step::Write(vec![0x15, 3, 1, 0, 2, 2, 70]);
    for script in
        [vec![Step::Read(5), alert, Step::Fin], vec![Step::Read(5), Step::Fin], vec![Step::Read(5), Step::Rst]]
    {
        let error = failure(&Server::start([script]).url("/token"), None).await;
        assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
        assert!(error.to_string().contains("is the port one for https?"), "{error}");
        assert!(error.to_string().contains("was reached, but gave no valid response"), "{error}");
    }
    let refused = failure(&Server::refusing().url("/token"), None).await;
    assert!(!refused.to_string().contains("for https"), "{refused}");
    let cut = vec![Step::ReadReq, Step::write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"), Step::Fin];
    let cut = failure(&Server::start([cut]).url("/token"), None).await.to_string();
    assert!(cut.contains("broke off its response") && !cut.contains("for https"), "{cut}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_server_that_has_shown_its_certificate_is_not_suspected_to_expect_tls() {
    let ca = crate::harness::tls::Ca::new();
    let server = Server::start_tls(ca.server("localhost"), [vec![Step::ReadReq, Step::Fin]]);
    let authority = move || {
        let authority = reqwest::Certificate::from_pem(crate::harness::tls::AUTHORITY.as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([authority])
    };
    let error = failure(&server.https("/token"), Some(HttpClient::from_reqwest_0_13(authority))).await;
    assert!(error.to_string().contains("was reached, but gave no valid response"), "{error}");
    assert!(!error.to_string().contains("for https"), "{error}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_tls_1_2_server_that_demands_a_certificate_is_a_tls_failure() {
    // FE16: alerts as they are on the wire (RFC 8446 section 6)
    for (alert, words) in [
        (40, "it requires a client certificate (ClientAuth::mutual_tls), or"),
        (116, "it requires a client certificate (ClientAuth::mutual_tls)"),
        (48, "is this client's certificate the right one?"),
        (70, "in common"),
        (71, "in common"),
    ] {
        let alert = vec![Step::Read(5), Step::Write(vec![0x15, 3, 3, 0, 2, 2, alert]), Step::Fin];
        let server = Server::start([alert]);
        let error = failure(&server.https("/token"), None).await;
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Tls, false), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[cfg(feature = "rustls")]
fn proxied(proxy: &Server) -> HttpClient {
    let url = format!("http://me:{SECRET}@{}", proxy.address());
    HttpClient::from_reqwest_0_13(move || reqwest::Client::builder().proxy(reqwest::Proxy::all(&url).unwrap()))
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn the_error_names_the_proxy_and_says_which_of_the_two_could_not_be_reached() {
    // FB12
    let closes = vec![Step::ReadReq, Step::Fin];
    for (proxy, words) in [
        (Server::refusing(), "the proxy itself could not be reached"),
        (Server::start([answer(407, &[], "")]), "the proxy requires credentials (407)"),
        (
            Server::start([answer(503, &[], "")]),
            "the proxy was reached, but refused to connect to auth.example or could not",
        ),
        (Server::start([answer(403, &[], "<html>")]), "the proxy was reached, but refused to connect to auth.example"),
        (Server::start([closes]), "the proxy was reached, but did not connect to auth.example"),
        (Server::start([answer(200, &[], "")]), "by way of a proxy"),
        (
            Server::start([vec![
                Step::ReadReq,
                Step::write("HTTP/1.1 200 OK\r\n\r\n"),
                Step::Read(5),
                Step::write("HTTP/1.1 400 Bad Request\r\n\r\n"),
                Step::Fin,
            ]]),
            "https://auth.example/token does not speak TLS: is the port one for plain http? (by way of a proxy",
        ),
    ] {
        let error = failure("https://auth.example/token", Some(proxied(&proxy))).await;
        let text = error.to_string();
        assert!(text.contains(words), "{words}: {text}");
        let place = format!("{} from the HTTP client's own settings", proxy.address());
        assert!(text.contains(&place), "{place}: {text}");
    }
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_failure_at_the_proxy_is_not_attributed_to_the_server() {
    // FB12
    let plain = Server::start([vec![Step::Read(5), Step::write("HTTP/1.1 400 Bad Request\r\n\r\n"), Step::Fin]]);
    let untrusted = Server::start_tls(crate::harness::tls::unknown(), []);
    for (scheme, proxy, kind, words) in [
        (
            "https",
            &plain,
            ErrorKind::Transport,
            "from the HTTP client's own settings does not speak TLS, is it one of http://?",
        ),
        ("https", &untrusted, ErrorKind::Tls, "TLS certificate verification failed for the proxy localhost:"),
        ("socks5", &plain, ErrorKind::Transport, "the scheme of the proxy is not supported"),
    ] {
        let url = format!("{scheme}://localhost:{}", proxy.address().port());
        let http =
            HttpClient::from_reqwest_0_13(move || reqwest::Client::builder().proxy(reqwest::Proxy::all(&url).unwrap()));
        let error = failure("https://auth.example/token", Some(http)).await;
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{scheme}: {text}");
        assert!(text.contains(words) && text.contains("https://auth.example/token"), "{scheme}: {text}");
        assert!(!text.contains("the port one for plain http"), "{scheme}: {text}");
    }
}

#[cfg(feature = "rustls")]
const FROM_THE_ENVIRONMENT: &str = "reach::a_proxy_from_the_environment_is_named_with_its_variable";

#[cfg(feature = "rustls")]
#[test]
fn a_proxy_from_the_environment_is_named_with_its_variable() {
    // FB12
    let proxy = Server::refusing();
    for name in ["HTTPS_PROXY", "ALL_PROXY"] {
        // Of two spellings the first that is set counts, even if it is empty.
        let others = ["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"].into_iter().filter(|other| *other != name);
        let mut env: Vec<_> = others.map(|other| (other, String::new())).collect();
        env.push((name, format!("http://me:{SECRET}@{}", proxy.address())));
        env.push(("EXPECTED", format!("{} from the environment variable {name}", proxy.address())));
        let Some(output) = child::run(FROM_THE_ENVIRONMENT, &env) else {
            break;
        };
        child::assert_passed(&output);
    }
    let Ok(expected) = std::env::var("EXPECTED") else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(failure("https://auth.example/token", None)).to_string();
    assert!(error.contains(&expected) && error.contains("the proxy itself could not be reached"), "{error}");
}

#[cfg(feature = "rustls")]
const UNUSED: &str = "reach::a_proxy_of_the_environment_that_is_not_used_is_named_with_the_reason";

#[cfg(feature = "rustls")]
#[test]
fn a_proxy_of_the_environment_that_is_not_used_is_named_with_the_reason() {
    // FB13
    for (proxy, except, expected) in [
        (
            "http://127.0.0.1:9",
            "x.example, no-such-host.invalid",
            "NO_PROXY has this host, so the proxy of HTTPS_PROXY",
        ),
        (&*format!("\"http://me:{SECRET}@127.0.0.1:9\""), "", "variable HTTPS_PROXY is not the URL of a proxy"),
    ] {
        let env = [("HTTPS_PROXY", proxy), ("NO_PROXY", except), ("ALL_PROXY", ""), ("EXPECTED", expected)];
        let Some(output) = child::run(UNUSED, &env.map(|(name, value)| (name, value.to_owned()))) else {
            break;
        };
        child::assert_passed(&output);
    }
    let Ok(expected) = std::env::var("EXPECTED") else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(failure("https://no-such-host.invalid/token", None)).to_string();
    assert!(error.contains("could not be reached") && error.contains(&expected), "{error}");
    let without = HttpClient::from_reqwest_0_13(|| reqwest::Client::builder().no_proxy());
    let error = runtime.block_on(failure("https://no-such-host.invalid/token", Some(without))).to_string();
    assert!(!error.contains(&expected), "the client uses no proxy of the environment: {error}");
}

/// An allowed plain host behind a proxy that the closure names: the proxy answers in its place.
#[tokio::test]
async fn a_named_proxy_is_used_for_an_allowed_plain_host() {
    // FE5
    let proxy = Server::start([crate::harness::server::ok(crate::harness::canary::TOKEN)]);
    let url = proxy.url("");
    let http =
        HttpClient::from_reqwest_0_13(move || reqwest::Client::builder().proxy(reqwest::Proxy::all(&url).unwrap()));
    let auth = ClientAuth::client_secret_basic("billing", SECRET);
    let tokens = ClientCredentials::builder("http://keycloak.internal/token", auth);
    let tokens = tokens.dangerously_allow_http("keycloak.internal").http_client(http).build().unwrap();
    assert!(tokens.token().await.is_ok());
    assert_eq!(proxy.requests()[0].line(), "POST http://keycloak.internal/token HTTP/1.1");
}
