//! A file that always has a fresh token: for `tokenFile` of a kubeconfig, `bearer_token_file`, a sidecar.

use std::io::Write;
use std::path::Path;

use client_credentials::ClientCredentials;

/// Until it fails or is dropped. The file is replaced as a whole, and readable by its owner alone.
pub async fn keep(tokens: &ClientCredentials, path: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut changes = tokens.changes();
    loop {
        let token = changes.next().await?;
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(token.expose_secret().as_bytes())?;
        file.persist(path)?;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::path::PathBuf;

    use client_credentials::AccessToken;
    use http::{Request, Response};
    use hyper::body::Incoming;
    use tokio::sync::mpsc;

    use super::*;
    use crate::support::{Daemon, MINUTE, free_port, next_after, serve, start, text};

    async fn until_it_has(path: &Path, token: &AccessToken) {
        let has = async {
            while std::fs::read_to_string(path).ok().as_deref() != Some(token.expose_secret()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(MINUTE, has).await.unwrap();
    }

    fn keeping(tokens: &ClientCredentials, path: PathBuf) -> tokio::task::JoinHandle<()> {
        let tokens = tokens.clone();
        tokio::spawn(async move { keep(&tokens, &path).await.unwrap() })
    }

    #[tokio::test]
    async fn the_file_has_the_latest_token() {
        let (_server, tokens) = start();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let keeper = keeping(&tokens, path.clone());
        let first = tokens.token().await.unwrap();
        until_it_has(&path, &first).await;
        until_it_has(&path, &next_after(&tokens, &first).await).await;
        keeper.abort();
    }

    #[tokio::test]
    async fn prometheus_scrapes_with_the_next_token_when_the_first_is_revoked() {
        let (server, tokens) = start();
        let folder = tempfile::tempdir().unwrap();
        let (token, config) = (folder.path().join("token"), folder.path().join("prometheus.yml"));
        let keeper = keeping(&tokens, token.clone());
        let first = tokens.token().await.unwrap();
        until_it_has(&token, &first).await;

        let (judged, mut scrapes) = mpsc::unbounded_channel();
        let issuer = server.clone();
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let accepted = issuer.accepts(request.headers());
            let _ = judged.send(accepted);
            let answer = Response::builder().status(if accepted { 200 } else { 401 }).body("invoices 17\n".to_owned());
            std::future::ready(Ok::<_, Infallible>(answer.unwrap()))
        });
        let target = serve(service).await.replace("http://", "");
        let lines = format!(
            "scrape_configs: [{{job_name: invoices, scrape_interval: 1s, authorization: {{credentials_file: {}}}, \
             static_configs: [{{targets: ['{target}']}}]}}]",
            text(&token)
        );
        std::fs::write(&config, lines).unwrap();
        let port = free_port();
        let config = format!("--config.file={}", text(&config));
        let storage = format!("--storage.tsdb.path={}", text(&folder.path().join("data")));
        let address = format!("--web.listen-address=127.0.0.1:{port}");
        let Some(_prometheus) = Daemon::start("prometheus", &[&config, &storage, &address], port) else { return };

        let mut until = async |wanted: bool| {
            let judged = async { while scrapes.recv().await != Some(wanted) {} };
            tokio::time::timeout(MINUTE, judged).await.unwrap();
        };
        until(true).await;
        server.revoke_all();
        until(false).await;
        next_after(&tokens, &first).await;
        until(true).await;
        assert_eq!(server.token_requests(), 2);
        keeper.abort();
    }
}
