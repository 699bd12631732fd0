//! The effects of a rejection.

use super::*;

async fn first(server: &Arc<Server>) -> (Cached<Arc<Server>>, AccessToken) {
    let tokens = cached(server);
    let token = tokens.token().await.unwrap();
    (tokens, token)
}

#[tokio::test]
async fn a_rejected_token_is_not_returned_again() {
    let server = Server::new([], Reply::New(3600));
    let (tokens, token) = first(&server).await;
    tokens.reject(&token);
    assert!(at_once(&tokens).is_none());
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t2");
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn a_hundred_rejections_of_one_token_cost_one_request() {
    // R03
    let server = Server::new([], Reply::New(3600));
    let (tokens, token) = first(&server).await;
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (tokens, token) = (tokens.clone(), token.clone());
            tokio::spawn(async move {
                tokens.reject(&token);
                tokens.token().await.unwrap().expose_secret().to_owned()
            })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "t2");
    }
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn fifty_late_rejections_evict_no_newer_token() {
    let server = Server::new([], Reply::New(3600));
    let (tokens, old) = first(&server).await;
    tokens.reject(&old);
    tokens.token().await.unwrap();
    for _ in 0..50 {
        tokens.reject(&old);
        assert_eq!(value(&tokens), "t2");
    }
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn every_thread_forgets_a_rejected_token() {
    let server = Server::new([], Reply::New(3600));
    let (tokens, token) = first(&server).await;
    let lease = || std::thread::scope(|scope| scope.spawn(|| at_once(&tokens).map(Result::unwrap)).join().unwrap());
    for _ in 0..20 {
        assert_eq!(lease().unwrap().id(), token.id(), "copies are one token");
    }
    // A copy from another thread's slot counts like the original.
    tokens.reject(&lease().unwrap());
    server.close();
    for _ in 0..20 {
        std::thread::scope(|scope| {
            let ready = scope.spawn(|| at_once(&tokens)).join().unwrap();
            assert!(ready.is_none_or(|result| result.is_err()));
        });
    }
}

#[tokio::test]
async fn an_api_that_refuses_every_token_costs_four_token_requests() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    for _ in 0..1000 {
        let token = tokens.token().await.unwrap();
        tokens.reject(&token);
    }
    assert_eq!(server.hits(), 4, "and every call got a token");
    // One more every two minutes.
    server.advance(seconds(119));
    tokens.reject(&tokens.token().await.unwrap());
    assert_eq!(value(&tokens), "t4");
    server.advance(seconds(1));
    tokens.reject(&tokens.token().await.unwrap());
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t5");
    tokens.reject(&tokens.token().await.unwrap());
    assert_eq!(value(&tokens), "t5");
}

#[tokio::test]
async fn the_allowance_is_full_again_after_six_minutes() {
    let server = Server::new([], Reply::New(36_000));
    let tokens = cached(&server);
    for _ in 0..10 {
        tokens.reject(&tokens.token().await.unwrap());
    }
    assert_eq!(server.hits(), 4);
    server.advance(seconds(3_600));
    for _ in 0..10 {
        tokens.reject(&tokens.token().await.unwrap());
    }
    let _ = tokens.token().await;
    assert_eq!(server.hits(), 7, "3, not 30");
}

#[tokio::test]
async fn a_server_that_insists_on_its_token_is_obeyed_once() {
    let server = Server::new([], Reply::Value("same", 3600));
    let (tokens, token) = first(&server).await;
    tokens.reject(&token);
    let again = tokens.token().await.unwrap();
    assert_eq!(again.id(), token.id(), "the very same value keeps its identity");
    assert_eq!(server.hits(), 2);
    for _ in 0..10 {
        tokens.reject(&again);
        assert_eq!(value(&tokens), "same", "nothing better is to be had");
    }
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn a_token_that_the_server_insisted_on_can_be_rejected_again_once_it_changes() {
    let script = [Reply::Value("a", 3600), Reply::Value("a", 3600), Reply::Value("b", 3600)];
    let server = Server::new(script, Reply::Value("c", 3600));
    let (tokens, a) = first(&server).await;
    tokens.reject(&a);
    tokens.token().await.unwrap();
    server.advance(seconds(3600));
    let b = tokens.token().await.unwrap();
    assert_eq!(b.expose_secret(), "b");
    tokens.reject(&b);
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "c");
}

#[tokio::test]
async fn a_fetch_in_progress_at_the_rejection_counts_if_it_returns_another_value() {
    let server = Server::new([], Reply::New(3600));
    let (tokens, token) = first(&server).await;
    server.close();
    server.advance(seconds(3400));
    assert_eq!(value(&tokens), "t1");
    settle().await;
    tokens.reject(&token);
    assert!(at_once(&tokens).is_none());
    server.open(1);
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t2");
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn a_fetch_in_progress_at_the_rejection_that_returns_the_same_value_does_not_count() {
    let script = [Reply::Value("old", 3600), Reply::Value("old", 3600)];
    let server = Server::new(script, Reply::Value("new", 3600));
    let (tokens, token) = first(&server).await;
    server.close();
    server.advance(seconds(3400));
    assert_eq!(value(&tokens), "old");
    settle().await;
    tokens.reject(&token);
    let caller = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    settle().await;
    server.open(1);
    settle().await;
    server.open(1);
    assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "new");
    assert_eq!(server.hits(), 3);
}

#[tokio::test]
async fn a_token_rejected_while_its_refresh_fails_is_gone() {
    // C18
    let server = Server::new([Reply::New(3600)], down());
    let (tokens, token) = first(&server).await;
    server.close();
    server.advance(seconds(3400));
    assert_eq!(value(&tokens), "t1");
    settle().await;
    tokens.reject(&token);
    server.open(1);
    settle().await;
    assert!(at_once(&tokens).unwrap().is_err());
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn a_token_of_another_source_is_not_rejected() {
    let (one, other) = (Server::new([], Reply::New(3600)), Server::new([], Reply::New(3600)));
    let (tokens, _) = first(&one).await;
    let (_, foreign) = first(&other).await;
    assert_eq!(foreign.expose_secret(), "t1", "even if it has the same value");
    tokens.reject(&foreign);
    assert_eq!(value(&tokens), "t1");
}

#[tokio::test]
async fn an_allowance_of_zero_ignores_rejections() {
    let server = Server::new([], Reply::New(3600));
    let tokens = with_policy(&server, CachePolicy::new().forced_refreshes(0));
    let token = tokens.token().await.unwrap();
    server.advance(seconds(1000));
    tokens.reject(&token);
    assert_eq!(value(&tokens), "t1");
}
