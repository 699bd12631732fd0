//! Reads responses without a status of success. Their status and headers are complete, and decide, whatever is wrong with the body
//! (RFC 6585 section 4, RFC 9110 section 10.2.3).

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, HeaderValue};
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::message::{Response, foreign_encoding, is_page};
use super::unpack::{self, append, unpacked};
use super::{AMBIGUOUS, cause, is_ambiguous};
use crate::server_text::Masks;

/// A response. The body of one without a status of success may be incomplete.
pub(crate) struct Received {
    pub(crate) response: Response,
    /// Why its body is incomplete, for an error about the response.
    pub(crate) flaw: Option<String>,
}

impl Received {
    pub(super) fn complete(response: Response) -> Self {
        Received { response, flaw: None }
    }

    /// Reads a response without a status of success. `place` has what was read of it if this future is dropped.
    pub(super) async fn refusal(
        mut incoming: reqwest::Response,
        largest: usize,
        masks: Option<&Masks>,
        place: &mut Option<Response>,
    ) -> Self {
        let (status, headers) = (incoming.status(), std::mem::take(incoming.headers_mut()));
        let response = place.insert(Response { status, headers, body: Zeroizing::default() });
        if is_ambiguous(&response.headers) {
            return Received::partial(std::mem::take(response), &format!("has {AMBIGUOUS}"));
        }
        loop {
            match incoming.chunk().await {
                Ok(None) => return Received::unpacked(std::mem::take(response), largest),
                Ok(Some(chunk)) => {
                    let room = largest.saturating_sub(response.body.len());
                    append(&mut response.body, chunk.get(..room).unwrap_or(&chunk));
                    if chunk.len() > room {
                        return Received::partial(std::mem::take(response), &too_large(largest));
                    }
                }
                Err(e) => {
                    let flaw = format!("broke off ({})", cause(e, masks).innermost());
                    return Received::partial(std::mem::take(response), &flaw);
                }
            }
        }
    }

    /// The body that was read before the `flaw`.
    pub(super) fn partial(mut response: Response, flaw: &str) -> Self {
        response.body = match foreign_encoding(&response.headers) {
            None => whole_part(&response.headers, &response.body),
            Some(_) => Zeroizing::default(),
        };
        // Otherwise the coding would be reported in place of the flaw.
        response.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
        Received { response, flaw: Some(format!("the body of the response {flaw}")) }
    }

    /// The same response with its body decompressed.
    fn unpacked(mut response: Response, largest: usize) -> Self {
        match unpacked(&mut response.headers, response.body.clone(), largest) {
            Ok(body) => Received::complete(Response { body, ..response }),
            Err(unpack::Flaw::TooLarge) => Received::partial(response, &too_large(largest)),
            Err(unpack::Flaw::Broken) => {
                // It may be plain text under a wrong label.
                response.headers.remove(CONTENT_ENCODING);
                Received::partial(response, "is damaged, or is not compressed as its header Content-Encoding says")
            }
        }
    }
}

fn too_large(largest: usize) -> String {
    format!("is larger than {largest} bytes")
}

/// What can be used of the beginning of a body: complete members of a JSON object, or that it is a page. Other text may
/// end within an echo of a secret, which would not be recognised.
fn whole_part(headers: &HeaderMap, body: &[u8]) -> Zeroizing<Vec<u8>> {
    let body = body.trim_ascii();
    if is_page(headers, body) {
        return Zeroizing::new(b"<html>".to_vec());
    }
    let closed = |part: &[u8]| Zeroizing::new([part, b"}"].concat());
    let is_object = |text: &Zeroizing<Vec<u8>>| serde_json::from_slice::<IgnoredAny>(text).is_ok();
    // A number at the end may lack digits.
    let ends = body.ends_with(b"\"") || body.ends_with(b"}") || body.ends_with(b"]");
    let last = last_comma(body).and_then(|end| body.get(..end));
    let parts = [Some(Zeroizing::new(body.to_vec())), ends.then(|| closed(body)), last.map(closed)];
    match body.starts_with(b"{") {
        true => parts.into_iter().flatten().find(is_object).unwrap_or_default(),
        false => Zeroizing::default(),
    }
}

/// The last comma between members of an object that is not nested.
fn last_comma(object: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped, mut comma) = (0_usize, false, false, None);
    for (at, byte) in object.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => comma = Some(at),
            _ => {}
        }
    }
    comma
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;

    use super::*;

    fn kept(body: &str) -> String {
        String::from_utf8(whole_part(&HeaderMap::new(), body.as_bytes()).to_vec()).unwrap()
    }

    #[test]
    fn of_a_cut_body_complete_members_are_kept() {
        // T31
        for (body, part) in [
            (r#"{"error":"a"}"#, r#"{"error":"a"}"#),
            (r#" {"error":"a","b":"our-se"#, r#"{"error":"a"}"#),
            (r#"{"error":"a","b""#, r#"{"error":"a"}"#),
            (r#"{"error":"a","b":12"#, r#"{"error":"a"}"#),
            (r#"{"error":"a","b":[1,2"#, r#"{"error":"a"}"#),
            (r#"{"error":"a","b":{"c":"d"}"#, r#"{"error":"a","b":{"c":"d"}}"#),
            (r#"{"error":"a,\",b","c"#, r#"{"error":"a,\",b"}"#),
            (r#"{"error":"a""#, r#"{"error":"a"}"#),
            (r#"{"error":"a","b":[1,2]"#, r#"{"error":"a","b":[1,2]}"#),
            (r#"{"error":"a","b":"x, y"#, r#"{"error":"a"}"#),
            (r#"{"e":{"c":[1]},"error":"a","b":1"#, r#"{"e":{"c":[1]},"error":"a"}"#),
            (r#"{"error":"a",\"b","c"#, ""),
            (r#"{"error":"a"#, ""),
            (r#"{"error":12"#, ""),
            (r#"{"error":{"code":"a","b":"#, ""),
            ("{error: 'a', b", ""),
            ("{", ""),
            ("[1, 2", ""),
            ("[1, 2]", ""),
            ("you sent our-se", ""),
            ("", ""),
            ("<!doctype html><title>you sent our-se", "<html>"),
        ] {
            assert_eq!(kept(body), part, "{body}");
        }
    }

    #[tokio::test]
    async fn a_body_is_complete_up_to_the_largest_size_and_the_reason_of_a_break_is_the_innermost() {
        for (length, is_complete) in [(100, true), (101, false)] {
            let incoming = http::Response::new("x".repeat(length)).into();
            let received = Received::refusal(incoming, 100, None, &mut None).await;
            assert_eq!(received.flaw.is_none(), is_complete, "{length}");
        }
        let chunks = futures_util::stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("no more power"))]);
        let incoming = http::Response::new(reqwest::Body::wrap_stream(chunks)).into();
        let received = Received::refusal(incoming, 100, None, &mut None).await;
        assert_eq!(received.flaw.as_deref(), Some("the body of the response broke off (no more power)"));
    }

    #[test]
    fn of_a_body_under_a_wrong_label_the_plain_text_is_kept() {
        let received = |body: &[u8]| {
            let headers = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))].into_iter().collect();
            let response = Response { status: StatusCode::BAD_REQUEST, headers, body: Zeroizing::new(body.to_vec()) };
            Received::unpacked(response, 100)
        };
        let Received { response, flaw } = received(br#"{"error":"invalid_client"}"#);
        assert_eq!(response.body.as_slice(), br#"{"error":"invalid_client"}"#);
        assert!(flaw.unwrap().contains("is not compressed as its header"));
        assert_eq!(foreign_encoding(&response.headers), None);
        assert_eq!(received(&[0x1f, 0x8b, 8, 0]).response.body.as_slice(), b"");
        // The flaw is told, and not the coding.
        let headers = [(CONTENT_ENCODING, HeaderValue::from_static("br"))].into_iter().collect();
        let Received { response, flaw } = Received::partial(Response { headers, ..Response::default() }, "broke off");
        assert_eq!(
            (foreign_encoding(&response.headers), flaw.as_deref()),
            (None, Some("the body of the response broke off"))
        );
    }

    proptest! {
        #[test]
        fn what_is_kept_of_an_object_ends_with_a_whole_member(
            values in prop::collection::vec("[a-z,{}\\[\\]\"\\\\]{0,8}", 1..5), cut: prop::sample::Index,
        ) {
            let names = ["a", "b", "c", "d"];
            let members: Vec<_> = names.iter().zip(&values).map(|(name, value)| format!("{name:?}:{}", serde_json::json!(value))).collect();
            let body = format!("{{{}}}", members.join(","));
            let kept = kept(body.get(..cut.index(body.len())).unwrap());
            let whole = (1..=members.len()).map(|n| format!("{{{}}}", members.get(..n).unwrap().join(",")));
            prop_assert!(kept.is_empty() || whole.clone().any(|one| one == kept), "{kept} of {body}");
        }
    }
}
