//! rdkafka: SASL/OAUTHBEARER, by librdkafka's callback. Give a client this context by `create_with_context`.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client_credentials::AccessToken;
use client_credentials::blocking::Tokens;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// librdkafka asks for the next token after 80 % of this time, although the token may last longer: it does not ask when
/// a broker refuses one.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The second field is the token that librdkafka has.
pub struct Authorized(pub Tokens, pub Mutex<Option<AccessToken>>);

impl ClientContext for Authorized {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;
    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let token = self.0.token()?;
        let expires = SystemTime::now() + token.expires_in().unwrap_or(ASK_AGAIN).min(ASK_AGAIN);
        let lifetime_ms = expires.duration_since(UNIX_EPOCH)?.as_millis().try_into()?;
        let token = self.1.lock().unwrap_or_else(PoisonError::into_inner).insert(token).expose_secret().to_owned();
        Ok(OAuthToken { token, principal_name: "billing".to_owned(), lifetime_ms })
    }
    fn error(&self, error: KafkaError, _: &str) {
        if let (Some(RDKafkaErrorCode::Authentication), Ok(last)) = (error.rdkafka_error_code(), self.1.lock()) {
            last.iter().for_each(|token| self.0.reject(token));
        }
    }
}

impl ConsumerContext for Authorized {}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::time::Instant;

    use client_credentials::testing::AuthorizationServer;
    use client_credentials::{ClientAuth, ClientCredentials};
    use http::{HeaderMap, HeaderValue};
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;

    /// Guards against hanging only.
    const MINUTE: Duration = Duration::from_secs(60);

    fn start() -> (AuthorizationServer, Authorized) {
        let server = AuthorizationServer::start().client("billing", "a secret");
        let auth = ClientAuth::client_secret_basic("billing", "a secret");
        let tokens = ClientCredentials::builder(server.token_url(), auth).build().unwrap();
        (server, Authorized(Tokens::new(tokens), Mutex::default()))
    }

    /// Has librdkafka ask again soon, so that the test need not wait for a minute.
    struct Soon(Authorized);

    impl ClientContext for Soon {
        const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;
        fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
            let token = self.0.generate_oauth_token(config)?;
            Ok(OAuthToken { lifetime_ms: token.lifetime_ms - 58_000, ..token })
        }
        fn error(&self, error: KafkaError, reason: &str) {
            self.0.error(error, reason);
        }
    }

    impl ConsumerContext for Soon {}

    const SASL_HANDSHAKE: i16 = 17;
    const API_VERSIONS: i16 = 18;
    const SASL_AUTHENTICATE: i16 = 36;

    /// A request of Kafka's protocol: its kind, the number that its answer has, and all of its bytes.
    fn request(stream: &mut TcpStream) -> std::io::Result<(i16, [u8; 4], Vec<u8>)> {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut bytes)?;
        Ok((i16::from_be_bytes([bytes[0], bytes[1]]), bytes[4..8].try_into().unwrap(), bytes))
    }

    fn answer(stream: &mut TcpStream, number: [u8; 4], parts: &[&[u8]]) -> std::io::Result<()> {
        let body = parts.concat();
        stream.write_all(&[&(body.len() as u32 + 4).to_be_bytes(), &number, &body[..]].concat())
    }

    /// A broker, up to the authentication: `accepts` checks the token of the message (RFC 7628 section 3.1).
    fn serve(stream: &mut TcpStream, accepts: impl Fn(&str) -> bool) -> std::io::Result<()> {
        let mut refused = false;
        loop {
            let (kind, number, bytes) = request(stream)?;
            match kind {
                // Version 3: no error, three kinds with their lowest and highest version, no time to wait.
                API_VERSIONS => {
                    let kinds = [(SASL_HANDSHAKE, 1), (API_VERSIONS, 3), (SASL_AUTHENTICATE, 0)];
                    let kinds = kinds.map(|(kind, highest)| {
                        [kind.to_be_bytes(), [0, 0], [0, highest]].concat().into_iter().chain([0]).collect::<Vec<u8>>()
                    });
                    answer(stream, number, &[&[0, 0, 4], &kinds.concat(), &[0, 0, 0, 0, 0]])?;
                }
                // No error, and one mechanism.
                SASL_HANDSHAKE => answer(stream, number, &[&[0, 0, 0, 0, 0, 1, 0, 11], b"OAUTHBEARER"])?,
                // An error is a challenge, then an error of Kafka (RFC 7628 section 3.2.2).
                SASL_AUTHENTICATE if refused => return answer(stream, number, &[&[0, 58, 0, 7], b"refused", &[0; 4]]),
                SASL_AUTHENTICATE => {
                    let text = String::from_utf8_lossy(&bytes);
                    let token = text.split_once("\x01auth=Bearer ").and_then(|(_, rest)| rest.split('\x01').next());
                    refused = !accepts(token.unwrap());
                    let challenge: &[u8] = if refused { br#"{"status":"invalid_token"}"# } else { b"" };
                    answer(stream, number, &[&[0, 0, 255, 255], &(challenge.len() as u32).to_be_bytes(), challenge])?;
                    // Closes the connection, as brokers do when a token expires.
                    if !refused {
                        return Ok(());
                    }
                }
                other => panic!("a request of kind {other} by somebody who is not authenticated"),
            }
        }
    }

    #[test]
    fn a_token_that_the_broker_refuses_is_replaced_when_librdkafka_asks_again() {
        let (server, authorized) = start();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let broker = listener.local_addr().unwrap().to_string();
        let (judged, judgements) = mpsc::channel();
        let issuer = server.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let accepts = |token: &str| {
                    let header = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
                    let accepted = issuer.accepts(&HeaderMap::from_iter([(http::header::AUTHORIZATION, header)]));
                    let _ = judged.send((token.to_owned(), accepted));
                    accepted
                };
                let _ = serve(&mut stream, accepts);
            }
        });
        let consumer: BaseConsumer<Soon> = ClientConfig::new()
            .set("bootstrap.servers", broker)
            .set("security.protocol", "SASL_PLAINTEXT")
            .set("sasl.mechanisms", "OAUTHBEARER")
            .set("group.id", "billing")
            .create_with_context(Soon(authorized))
            .unwrap();
        consumer.subscribe(&["invoices"]).unwrap();
        let begun = Instant::now();
        let until = |wanted: bool| loop {
            assert!(begun.elapsed() < MINUTE, "no token was judged so: {wanted}");
            let _ = consumer.poll(Duration::from_millis(10));
            if let Some((token, _)) = judgements.try_iter().find(|(_, accepted)| *accepted == wanted) {
                break token;
            }
        };
        let first = until(true);
        server.revoke_all();
        assert_eq!(until(false), first);
        assert_ne!(until(true), first);
        assert_eq!(server.token_requests(), 2);
    }

    #[test]
    fn librdkafka_asks_again_within_a_minute() {
        let (_server, authorized) = start();
        let token = authorized.generate_oauth_token(None).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        assert!((1..=60_000).contains(&(token.lifetime_ms - now)), "{}", token.lifetime_ms);
    }
}
