//! The test kit for users (`client_credentials::testing`), used as they use it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "in a test a panic is the report")]

mod answers;
mod clients;
mod details;
mod fakes;
mod life;
mod quirks;
#[rustfmt::skip] // in lines of 80 columns
mod readme;
mod redaction;
mod user_test;

/// A token request of another client than ours.
fn post_form(url: &str, params: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let mut form = form_urlencoded::Serializer::new(String::new());
    let form = form.extend_pairs(params).finish();
    let request = reqwest::Client::new().post(url).body(form);
    request.header("content-type", "application/x-www-form-urlencoded")
}
