//! Secrets that must never be shown (FAULTS I1), and the checks for them.
//!
//! [`watch`] records all `tracing` (and `log`) events of this process, at TRACE, and panics. Every scripted server has
//! a [`Watched`], which checks when it is dropped that no event of our own target contains a canary.

use std::error::Error;
use std::fmt::{Debug, Write};
use std::sync::{LazyLock, Mutex, Once, PoisonError};

use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The client's secret. All its characters are the same in every encoding but base64.
pub(crate) const SECRET: &str = "canary-7Qp2-client-secret-Zx91";
/// The access token.
pub(crate) const TOKEN: &str = "canary-Vw43-access-token-Kj58";
/// Another secret: a value in a query, a member of a response.
pub(crate) const OTHER: &str = "canary-Lt66-something-else-Rb07";

/// The target of our own events.
const OURS: &str = "client_credentials";

/// The target under which panics are kept.
const PANIC: &str = "a panic";

/// Panics if one of `texts` contains a canary, as it is or in base64.
pub(crate) fn assert_no_canary<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) {
    for text in texts {
        let text = text.as_ref();
        if let Some(canary) = found(text) {
            panic!("{canary} is seen in: {text}");
        }
    }
}

/// The canary in `text`.
pub(crate) fn found(text: &str) -> Option<&'static str> {
    static FORMS: LazyLock<[(&str, Vec<String>); 3]> =
        LazyLock::new(|| [SECRET, TOKEN, OTHER].map(|it| (it, forms(it))));
    let seen = |forms: &[String]| forms.iter().any(|form| text.contains(form));
    FORMS.iter().find(|(_, forms)| seen(forms)).map(|(canary, _)| *canary)
}

/// The canary as it is, and the part of its base64 that does not depend on the adjacent characters.
fn forms(canary: &str) -> Vec<String> {
    let mut forms = vec![canary.to_owned()];
    for shift in 0..3 {
        let mut bytes = vec![b'x'; shift];
        bytes.extend_from_slice(canary.as_bytes());
        let whole = bytes.len() / 3 * 4;
        forms.push(BASE64_STANDARD_NO_PAD.encode(&bytes)[4..whole].to_owned());
    }
    forms
}

/// Every way in which a value with `Debug` can be printed.
pub(crate) fn render(value: &dyn Debug) -> String {
    format!("{value:?}\n{value:#?}")
}

/// Every way in which an error and its sources can be printed.
pub(crate) fn render_all(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let _ = write!(text, "{error}\n{error:#}\n{error:?}\n{error:#?}\n");
        next = error.source();
    }
    text
}

/// The recorded events: (target, text).
static SAID: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Those of our own target, and panics, that contain a canary.
static LEAKS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Starts recording. Has no effect if it was called before or a subscriber is installed.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = tracing_subscriber::registry().with(Eye).try_init();
        let next = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // A panic of a test is a report. One of the crate or its dependencies is recorded (L11).
            if panic.location().is_some_and(|place| !place.file().starts_with("tests")) {
                keep(PANIC, panic.to_string());
            }
            next(panic);
        }));
    });
}

/// Calls [`assert_no_leak`] when it is dropped.
#[derive(Debug)]
pub(crate) struct Watched(());

impl Default for Watched {
    fn default() -> Self {
        watch();
        Watched(())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_no_leak();
        }
    }
}

/// Panics if an event of our own target, or a panic, has contained a canary since the process began.
pub(crate) fn assert_no_leak() {
    let leaks = LEAKS.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(leaks.is_empty(), "a canary is seen in the log: {leaks:?}");
}

/// All events of our own target, and others that contain a canary, since the process began.
pub(crate) fn said() -> Vec<(String, String)> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

struct Eye;

impl<S: Subscriber> Layer<S> for Eye {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        let mut text = Text(attributes.metadata().name().to_owned());
        attributes.record(&mut text);
        keep(attributes.metadata().target(), text.0);
    }

    fn on_record(&self, _: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        values.record(&mut text);
        keep("a span", text.0);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(event.metadata().level().to_string());
        event.record(&mut text);
        keep(event.metadata().target(), text.0);
    }
}

fn keep(target: &str, text: String) {
    let push = |list: &Mutex<Vec<_>>, text| {
        list.lock().unwrap_or_else(PoisonError::into_inner).push((target.to_owned(), text));
    };
    let (ours, leaks) = (target.starts_with(OURS), found(&text).is_some());
    if leaks && (ours || target == PANIC) {
        push(&LEAKS, text.clone());
    }
    // Events of others are kept only if they contain a canary.
    if ours || leaks {
        push(&SAID, text);
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}
