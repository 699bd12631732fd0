//! A recorder for the facade `metrics`: a number for each series, which counts what is recorded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};

#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<HashMap<Key, Arc<Series>>>>);

#[derive(Default)]
pub(crate) struct Series(AtomicU64);

impl Recorder {
    fn series(&self, key: &Key) -> Arc<Series> {
        Arc::clone(self.0.lock().unwrap().entry(key.clone()).or_default())
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// How often this was recorded, over all labels.
    pub(crate) fn recorded(&self, name: &str) -> u64 {
        let series = self.0.lock().unwrap();
        let named = series.iter().filter(|(key, _)| key.name() == name);
        named.map(|(_, series)| series.0.load(Ordering::Relaxed)).sum()
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.series(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.series(key);
        Gauge::noop()
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.series(key))
    }
}

impl metrics::CounterFn for Series {
    fn increment(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
    fn absolute(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}

impl metrics::HistogramFn for Series {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
