//! Events as metrics, through the facade crate `metrics`. Names and units follow the general rules of OpenTelemetry;
//! they are part of the public interface, documented in `docs::operating`. Each label has few values: the name of the
//! source, the cause, the kind of an error, the status, the host of the token endpoint.

use std::time::{Duration, SystemTime};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::{Event, FetchCause};
use crate::error::Error;

pub(super) fn emit(source: &str, event: &Event<'_>) {
    let name = || ("oauth2.client.name", source.to_owned());
    let fetch = |cause: FetchCause, duration: Duration, from_store: bool, error: Option<&Error>| {
        let (cause, from_store) = (cause.as_str().to_owned(), from_store.to_string());
        let labels = [name(), ("cause", cause), ("from_store", from_store), error_type(error)];
        histogram!("oauth2.client.fetch.duration", &labels).record(duration.as_secs_f64());
    };
    match event {
        Event::TokenRequest { cause, server, status, error, duration } => {
            let labels = [
                name(),
                ("cause", cause.as_str().to_owned()),
                ("server.address", (*server).to_owned()),
                ("http.response.status_code", status.map_or_else(|| "none".to_owned(), status_code)),
                error_type(*error),
            ];
            histogram!("oauth2.client.token_request.duration", &labels).record(duration.as_secs_f64());
        }
        Event::Fetched { cause, duration, expires_in, from_store } => {
            fetch(*cause, *duration, *from_store, None);
            gauge!("oauth2.client.failures.consecutive", &[name()]).set(0.0);
            gauge!("oauth2.client.token.usable", &[name()]).set(1.0);
            if let Some(left) = expires_in {
                gauge!("oauth2.client.token.remaining", &[name()]).set(left.as_secs_f64());
                gauge!("oauth2.client.token.expires_at", &[name()]).set(epoch_after(*left));
            }
        }
        Event::FetchFailed { cause, duration, error, consecutive } => {
            fetch(*cause, *duration, false, Some(error));
            gauge!("oauth2.client.failures.consecutive", &[name()]).set(f64::from(*consecutive));
            counter!("oauth2.client.failures", &[name(), error_type(Some(error))]).increment(1);
        }
        Event::Failing { token_usable, .. } => {
            gauge!("oauth2.client.token.usable", &[name()]).set(f64::from(u8::from(*token_usable)));
        }
        Event::Rejected { honored } => {
            let outcome = if *honored { "honored" } else { "ignored" };
            counter!("oauth2.client.rejections", &[name(), ("outcome", outcome.to_owned())]).increment(1);
        }
        Event::CredentialRead { credential, expires_in } => {
            let labels = [name(), ("credential", credential.as_str().to_owned())];
            gauge!("oauth2.client.credential.remaining", &labels).set(expires_in.as_secs_f64());
            gauge!("oauth2.client.credential.expires_at", &labels).set(epoch_after(*expires_in));
        }
        Event::Waited { duration, error } => {
            histogram!("oauth2.client.wait.duration", &[name(), error_type(*error)]).record(duration.as_secs_f64());
        }
        Event::StoreOperation { operation, duration, error } => {
            let outcome = if error.is_some() { "failed" } else { "ok" };
            let labels = [name(), ("operation", (*operation).to_owned()), ("outcome", outcome.to_owned())];
            histogram!("oauth2.client.store.operation.duration", &labels).record(duration.as_secs_f64());
        }
        Event::NonceRetry => counter!("oauth2.client.dpop.nonce_retries", &[name()]).increment(1),
        Event::FetchStarted { .. } => {
            // For each event: a recorder may be installed late, and without the units an exporter uses other names.
            describe();
        }
        Event::Recovered { .. } | Event::UnusualLifetime { .. } | Event::ApiRefuses { .. } => {}
    }
}

/// The unit and the description of each metric.
fn describe() {
    let span = |name: &'static str, about: &'static str| describe_histogram!(name, Unit::Seconds, about);
    let time = |name: &'static str, about: &'static str| describe_gauge!(name, Unit::Seconds, about);
    span("oauth2.client.token_request.duration", "Duration of one token request, with its connection");
    span("oauth2.client.fetch.duration", "Duration of a fetch, with its attempts and the waits between them");
    span("oauth2.client.wait.duration", "How long calls waited for a fetch, of those that did");
    span("oauth2.client.store.operation.duration", "Duration of an operation of the shared store");
    time("oauth2.client.token.remaining", "Lifetime of the newest access token when it came");
    time("oauth2.client.token.expires_at", "Unix time at which the newest access token expires");
    let about = "Lifetime of the client's certificate or assertion when it was last used";
    time("oauth2.client.credential.remaining", about);
    time("oauth2.client.credential.expires_at", "Unix time at which the client's certificate or assertion expires");
    let about = "1 while there is a usable access token, 0 while none can be fetched";
    describe_gauge!("oauth2.client.token.usable", about);
    describe_gauge!("oauth2.client.failures.consecutive", "Fetches that have failed in a row");
    describe_counter!("oauth2.client.failures", "Fetches that failed");
    describe_counter!("oauth2.client.rejections", "Access tokens that an API refused");
    describe_counter!("oauth2.client.dpop.nonce_retries", "Token requests repeated with a DPoP nonce");
}

/// The time after `left`, since the epoch.
fn epoch_after(left: Duration) -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_add(left).as_secs_f64()
}

/// A status may be any number of three digits. Those without a class (RFC 9110 section 15) are one value.
fn status_code(status: u16) -> String {
    match status {
        100..=599 => status.to_string(),
        _ => "other".to_owned(),
    }
}

fn error_type(error: Option<&Error>) -> (&'static str, String) {
    ("error.type", error.map_or("none", |error| super::error_type(error.kind())).to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString};

    use super::super::samples;
    use super::*;
    use crate::lock::Lock;

    /// The kind and labels of each registered series, and the units.
    #[derive(Default)]
    struct Registry {
        series: Lock<BTreeMap<String, (&'static str, BTreeSet<String>)>>,
        labels: Lock<BTreeMap<String, BTreeSet<String>>>,
        units: Lock<BTreeMap<String, Option<Unit>>>,
    }

    impl Registry {
        fn register(&self, kind: &'static str, key: &Key) {
            let labels: Vec<_> = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
            let mut series = self.series.lock();
            let (_, all) = series.entry(key.name().to_owned()).or_insert_with(|| (kind, BTreeSet::new()));
            all.insert(format!("{labels:?}"));
            let keys = labels.into_iter().map(|(key, _)| key).collect();
            self.labels.lock().insert(key.name().to_owned(), keys);
        }
    }

    impl Recorder for Registry {
        fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
            self.units.lock().insert(key.as_str().to_owned(), unit);
        }
        fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
            self.units.lock().insert(key.as_str().to_owned(), unit);
        }
        fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
            self.units.lock().insert(key.as_str().to_owned(), unit);
        }
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            self.register("counter", key);
            Counter::noop()
        }
        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            self.register("gauge", key);
            Gauge::noop()
        }
        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            self.register("histogram", key);
            Histogram::from_arc(Arc::new(Noop))
        }
    }

    struct Noop;

    impl metrics::HistogramFn for Noop {
        fn record(&self, _: f64) {}
    }

    fn recorded(emit: impl FnOnce()) -> Registry {
        let registry = Registry::default();
        metrics::with_local_recorder(&registry, emit);
        registry
    }

    #[test]
    fn the_metrics_are_those_in_the_table_of_the_guide() {
        let registry = recorded(|| samples::each(|event| emit("billing", event)));
        let mut built = BTreeSet::new();
        for (name, (kind, _)) in registry.series.lock().iter() {
            let labels = registry.labels.lock()[name].clone();
            assert!(labels.contains("oauth2.client.name"), "{name}");
            let unit = match registry.units.lock().get(name) {
                Some(Some(Unit::Seconds)) => ", s",
                Some(None) => "",
                other => panic!("{name} is described as {other:?}"),
            };
            let further: BTreeSet<_> = labels.into_iter().filter(|label| label != "oauth2.client.name").collect();
            built.insert((name.clone(), format!("{kind}{unit}"), further));
        }
        let guide = include_str!("../docs/operating.md");
        let ticked = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
        let rows = guide.lines().filter(|line| line.starts_with("| `oauth2.client."));
        let told: BTreeSet<_> = rows
            .map(|row| {
                let cells: Vec<_> = row.split('|').map(str::trim).collect();
                (cells[1].trim_matches('`').to_owned(), cells[2].to_owned(), ticked(cells[3]))
            })
            .collect();
        assert_eq!(built, told);
    }

    #[test]
    fn no_label_has_more_values_than_a_source_can_have() {
        let registry = recorded(|| {
            for number in 0..2_000_u16 {
                samples::with(number, |event| emit("billing", event));
            }
        });
        for (name, (_, series)) in registry.series.lock().iter() {
            // Causes, kinds of errors and statuses of three digits: a server cannot cause more series.
            let most = if name == "oauth2.client.token_request.duration" { 3 * 9 * 501 } else { 3 * 9 * 2 };
            assert!(series.len() <= most, "{name} has {} series", series.len());
        }
    }

    #[test]
    fn a_status_without_a_class_is_one_value() {
        let statuses: BTreeSet<_> = (0..=u16::MAX).map(status_code).collect();
        assert_eq!(statuses.len(), 501);
        assert_eq!(
            (status_code(429), status_code(600), status_code(99)),
            ("429".into(), "other".into(), "other".into())
        );
    }

    #[test]
    fn the_outcome_of_an_operation_of_the_store_is_a_label() {
        let down = Error::of(crate::error::ErrorKind::Other, "down");
        for (error, outcome) in [(None, "ok"), (Some(&down), "failed")] {
            let (operation, duration) = ("get", Duration::ZERO);
            let registry = recorded(|| emit("billing", &Event::StoreOperation { operation, duration, error }));
            let (_, series) = &registry.series.lock()["oauth2.client.store.operation.duration"];
            let label = format!("(\"outcome\", \"{outcome}\")");
            assert!(series.iter().all(|labels| labels.contains(&label)), "{series:?}");
        }
    }

    #[test]
    fn the_end_of_a_lifetime_is_since_the_epoch() {
        let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let left = Duration::from_secs(3600);
        let (before, end, after) = (now(), epoch_after(left), now());
        assert!(((before + left).as_secs_f64()..=(after + left).as_secs_f64()).contains(&end), "{end}");
    }
}
