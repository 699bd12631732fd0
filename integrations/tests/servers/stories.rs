//! The scenarios of each method at each server: a token, a wrong credential, a rotation.

use std::time::{Duration, SystemTime};

use client_credentials::{AccessToken, ClientCredentials, Error, ErrorKind};

use crate::Result;
use crate::methods::{self, Method};
use crate::server::{SCOPE, Server};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Story {
    Token,
    Refused,
    Rotated,
}

/// How a scenario ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Done,
    /// The scenario does not apply, and why.
    Reason(&'static str),
}

impl Story {
    pub(crate) const ALL: [Story; 3] = [Story::Token, Story::Refused, Story::Rotated];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Story::Token => "token",
            Story::Refused => "refused",
            Story::Rotated => "rotated",
        }
    }

    pub(crate) async fn tell(self, server: &Server, method: &Method) -> Result<Told> {
        let client = format!("{}-{}-{}", method.name, self.word(), methods::random(6));
        match self {
            Story::Token => token(server, method, &client).await,
            Story::Refused => refused(server, method, &client).await,
            Story::Rotated if !method.has_credentials() => {
                Ok(Told::Reason("without a credential there is nothing to rotate"))
            }
            Story::Rotated => rotated(server, method, &client).await,
        }
    }
}

/// The server issues a token for what was requested, and recognizes it.
async fn token(server: &Server, method: &Method, client: &str) -> Result<Told> {
    let credentials = method.credentials(client, &server.authority)?;
    credentials.put(&server.folder_of(client))?;
    server.register(client, &credentials).await?;
    let tokens = server.tokens(method, client)?.build()?;
    let before = SystemTime::now();
    let token = tokens.token().await?;
    check(token.scope() == Some(SCOPE), || format!("scope: {:?}", token.scope()))?;
    let expires_at = token.expires_at().ok_or("it does not expire")?;
    let latest = SystemTime::now() + Duration::from_secs(600);
    check(before < expires_at && expires_at <= latest, || format!("expires at {expires_at:?}"))?;
    server.vouches_for(&token, client).await?;
    let again = tokens.token().await?;
    check(again.expose_secret() == token.expose_secret(), || "a fresh token was not kept".into())?;
    Ok(Told::Done)
}

/// A wrong credential, or an unknown id where there is no credential, is an error that says so.
async fn refused(server: &Server, method: &Method, client: &str) -> Result<Told> {
    let credentials = method.credentials(client, &server.authority)?;
    if method.has_credentials() {
        let wrong = method.credentials(client, &server.authority)?;
        wrong.put(&server.folder_of(client))?;
        server.register(client, &credentials).await?;
    }
    let tokens = server.tokens(method, client)?.build()?;
    let error = tokens.token().await.err().ok_or("a token for a wrong credential")?;
    denied(&error)?;
    if method.has_credentials() {
        // The right one is not refused, so the credential was the reason.
        credentials.put(&server.folder_of(client))?;
        recovered(&tokens).await?;
    }
    Ok(Told::Done)
}

/// The server has a new credential, then the client has: the source recovers without being built again.
async fn rotated(server: &Server, method: &Method, client: &str) -> Result<Told> {
    let folder = server.folder_of(client);
    let old = method.credentials(client, &server.authority)?;
    old.put(&folder)?;
    server.register(client, &old).await?;
    let tokens = server.tokens(method, client)?.build()?;
    let first = tokens.token().await?;

    let new = method.credentials(client, &server.authority)?;
    server.register(client, &new).await?;
    tokens.reject(&first);
    let error = tokens.token().await.err().ok_or("the old credential still serves")?;
    denied(&error)?;

    new.put(&folder)?;
    let second = recovered(&tokens).await?;
    check(second.expose_secret() != first.expose_secret(), || "the rejected token is handed out again".into())?;
    server.vouches_for(&second, client).await?;

    // The next rotation, the client first this time in that its next fetch starts after both: not one error.
    let third = method.credentials(client, &server.authority)?;
    third.put(&folder)?;
    server.register(client, &third).await?;
    tokens.reject(&second);
    let token = tokens.token().await?;
    server.vouches_for(&token, client).await?;
    Ok(Told::Done)
}

/// The kind and the code of a refused client.
pub(crate) fn denied(error: &Error) -> Result {
    let code = error.oauth().map(|oauth| oauth.code());
    check(error.kind() == ErrorKind::Denied && code == Some("invalid_client"), || {
        format!("not denied as invalid_client: {error:?}")
    })
}

/// The token that is returned when the source tries again by itself, after the wait for a denied client.
pub(crate) async fn recovered(tokens: &ClientCredentials) -> Result<AccessToken> {
    let recovery = async {
        loop {
            match tokens.token().await {
                Ok(token) => return Ok(token),
                Err(error) => denied(&error)?,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), recovery)
        .await
        .map_err(|_| "still denied with the right credential")?
}

pub(crate) fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result {
    match holds {
        true => Ok(()),
        false => Err(otherwise().into()),
    }
}

/// All levels of an error.
pub(crate) fn full(error: Error) -> String {
    format!("{error:#}")
}
