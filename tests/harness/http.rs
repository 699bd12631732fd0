//! An HTTP server on loopback whose responses a function decides.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

pub(crate) type Body = Full<Bytes>;

/// At a free port, until the runtime ends. The function has the server's origin, and each request with its whole body.
pub(crate) async fn serve<A>(answer: impl FnOnce(&str) -> A) -> String
where
    A: Fn(Request<Bytes>) -> Response<Body> + Clone + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let answer = answer(&origin);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    Ok::<_, hyper::Error>(answer(Request::from_parts(parts, body)))
                }
            });
            // An error means that the client closed the connection.
            tokio::spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), service).await });
        }
    });
    origin
}
