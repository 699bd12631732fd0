//! lettre: SMTP with `AUTH XOAUTH2`, as Microsoft 365 and Google require it.

use client_credentials::{ClientCredentials, Error};
use lettre::transport::smtp::SmtpTransportBuilder;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};

/// The credentials of one connection: call it again for the next one.
pub async fn authenticated(
    tokens: &ClientCredentials,
    mailbox: &str,
    builder: SmtpTransportBuilder,
) -> Result<SmtpTransportBuilder, Error> {
    let token = tokens.token().await?;
    let credentials = Credentials::new(mailbox.to_owned(), token.expose_secret().to_owned());
    Ok(builder.credentials(credentials).authentication(vec![Mechanism::Xoauth2]))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use lettre::SmtpTransport;

    use super::*;
    use crate::support::start;

    #[tokio::test]
    async fn the_server_sees_mailbox_and_token() {
        let (_server, tokens) = start();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            stream.write_all(b"220 hello\r\n").unwrap();
            let mut seen = None;
            for line in lines.map_while(Result::ok) {
                let answer = match line.split(' ').next() {
                    Some("EHLO") => "250-hello\r\n250 AUTH XOAUTH2\r\n",
                    Some("AUTH") => "235 welcome\r\n",
                    _ => "250 ok\r\n",
                };
                seen = seen.or(line.strip_prefix("AUTH XOAUTH2 ").map(str::to_owned));
                stream.write_all(answer.as_bytes()).unwrap();
                if line.starts_with("QUIT") {
                    break;
                }
            }
            seen
        });
        let builder = SmtpTransport::builder_dangerous("127.0.0.1").port(port);
        let transport = authenticated(&tokens, "billing@example.com", builder).await.unwrap().build();
        assert!(tokio::task::spawn_blocking(move || transport.test_connection()).await.unwrap().unwrap());
        let token = tokens.token().await.unwrap();
        let expected = format!("user=billing@example.com\x01auth=Bearer {}\x01\x01", token.expose_secret());
        let expected = base64(expected.as_bytes());
        assert_eq!(seen.join().unwrap().unwrap(), expected);
    }

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for place in 0..4 {
                let digit = DIGITS[(word >> (18 - 6 * place) & 63) as usize];
                text.push(if place > chunk.len() { '=' } else { digit.into() });
            }
        }
        text
    }
}
