//! An authorization server that fails three times out of ten, never more than twice in a row for one client, and now
//! and then altogether.
//!
//! Not the one of `testing`: that keeps every token and the last 10 000 requests, and this test measures the memory of its process.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::book::Book;

/// Two failures in a row leave a fetch its third attempt.
const MOST_IN_A_ROW: u32 = 2;

/// Returns the URL of its token endpoint.
pub(crate) async fn start(book: Arc<Book>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let failures: Arc<Mutex<HashMap<usize, u32>>> = Arc::default();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, Arc::clone(&book), Arc::clone(&failures)));
        }
    });
    url
}

async fn answer(mut stream: TcpStream, book: Arc<Book>, failures: Arc<Mutex<HashMap<usize, u32>>>) {
    let Some(client) = read(&mut stream).await else {
        return;
    };
    let down = book.is_down();
    let fails = {
        let mut failures = failures.lock().unwrap();
        let row = failures.entry(client).or_default();
        let fails = down || (*row < MOST_IN_A_ROW && fastrand::u8(..10) < 3);
        *row = if fails { *row + 1 } else { 0 };
        fails
    };
    if fails {
        book.refused_service.fetch_add(1, Ordering::Relaxed);
        if down {
            book.fails_in_outage(client);
        }
        return fail(stream).await;
    }
    if fastrand::u8(..10) == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let token = book.issue(client);
    let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":2}}"#);
    let _ = stream.write_all(response("200 OK", &body).as_bytes()).await;
}

/// The whole request; whose it is.
async fn read(stream: &mut TcpStream) -> Option<usize> {
    let mut request = Vec::new();
    loop {
        let mut part = [0; 1024];
        let read = stream.read(&mut part).await.ok()?;
        request.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&request);
        if let Some((_, form)) = text.split_once("client_id=") {
            if form.contains("client_secret=soak") {
                return form.split('&').next()?.parse().ok();
            }
        }
        if read == 0 {
            return None;
        }
    }
}

async fn fail(mut stream: TcpStream) {
    let answer = match fastrand::u8(..7) {
        0 => response("500 Internal Server Error", ""),
        1 => response("503 Service Unavailable", "<p>try again</p>"),
        2 => response("200 OK", "<html>portal</html>"),
        3 => response("200 OK", ""),
        // Cut.
        4 => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access_token\":\"soak".to_owned(),
        5 => {
            let _ = stream.set_zero_linger();
            return;
        }
        // It hangs until the client goes away.
        _ => {
            let mut end = [0; 1];
            let _ = stream.read(&mut end).await;
            return;
        }
    };
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn response(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}
