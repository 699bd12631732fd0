//! Fetches a document from the first address at which it is usable.

use http::StatusCode;
use url::Url;

use super::document::Unusable;
use crate::address::Shown;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::exchange::{Exchange, Peer, Received, Response, retry_after};

/// Requests the URLs in order until a document is usable. `whose` and `name` are for the text of the error.
pub(super) async fn first_usable<D>(
    exchange: &Exchange,
    clock: &Clock,
    (whose, name): (String, &'static str),
    places: &[Url],
    decode: impl Fn(&Response) -> Result<D, Unusable>,
) -> Result<D, Error> {
    let mut text = format!("{whose} has no usable metadata");
    let (mut transient, mut throttled, mut status, mut wait) = (false, false, None, None);
    for (n, url) in places.iter().enumerate() {
        let peer = Peer { name, url, identity: None, masks: None };
        let joint = if n == 0 { ":" } else { ";" };
        // A server that cannot be reached is not tried at another path.
        let Received { response, flaw: unread } = match exchange.fetch(peer).await {
            Err(error) if error.kind() == ErrorKind::Response => {
                text.push_str(&format!("{joint} {error}"));
                continue;
            }
            other => other?,
        };
        let flaw = match decode(&response) {
            Ok(document) => return Ok(document),
            Err(flaw) => flaw,
        };
        text.push_str(&format!("{joint} at {}: {}", Shown(url), flaw.why));
        text.extend(unread.map(|unread| format!("; {unread}")));
        transient |= flaw.transient;
        throttled |= response.status == StatusCode::TOO_MANY_REQUESTS;
        status = Some(response.status);
        wait = retry_after(response.status, &response.headers, clock.now()).or(wait);
    }
    let kind = match throttled {
        true => ErrorKind::Throttled,
        false => ErrorKind::Response,
    };
    let error = Error::of(kind, text).asked_to_wait(wait).with_status(status);
    Err(if transient { error.transient() } else { error })
}
