//! Metrics of a source in OpenTelemetry's own SDK: an observer with instruments.

use client_credentials::{Event, Observer};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

pub struct Instruments {
    requests: Histogram<f64>,
    failures: Gauge<u64>,
    remaining: Gauge<f64>,
    rejections: Counter<u64>,
}

impl Instruments {
    pub fn new(meter: &Meter) -> Self {
        Instruments {
            requests: meter.f64_histogram("oauth2.client.token_request.duration").with_unit("s").build(),
            failures: meter.u64_gauge("oauth2.client.failures.consecutive").build(),
            remaining: meter.f64_gauge("oauth2.client.token.remaining").with_unit("s").build(),
            rejections: meter.u64_counter("oauth2.client.rejections").build(),
        }
    }
}

impl Observer for Instruments {
    fn observe(&self, source: &str, event: &Event<'_>) {
        let name = [KeyValue::new("oauth2.client.name", source.to_owned())];
        match event {
            Event::TokenRequest { duration, .. } => self.requests.record(duration.as_secs_f64(), &name),
            Event::FetchFailed { consecutive, .. } => self.failures.record(u64::from(*consecutive), &name),
            Event::Fetched { expires_in, .. } => {
                self.failures.record(0, &name);
                expires_in.iter().for_each(|left| self.remaining.record(left.as_secs_f64(), &name));
            }
            Event::Rejected { .. } => self.rejections.add(1, &name),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use client_credentials::testing::AuthorizationServer;
    use client_credentials::{ClientAuth, ClientCredentials};
    use opentelemetry::metrics::MeterProvider;
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

    use super::*;

    #[tokio::test]
    async fn a_refresh_and_a_rejection_are_measured() {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
        let server = AuthorizationServer::start().client("billing", "a secret");
        let tokens =
            ClientCredentials::builder(server.token_url(), ClientAuth::client_secret_basic("billing", "a secret"))
                .name("billing")
                .observe(Instruments::new(&provider.meter("service")))
                .build()
                .unwrap();
        tokens.reject(&tokens.token().await.unwrap());
        tokens.token().await.unwrap();
        provider.force_flush().unwrap();
        let exported = format!("{:?}", exporter.get_finished_metrics().unwrap());
        for metric in ["token_request.duration", "failures.consecutive", "token.remaining", "rejections"] {
            assert!(exported.contains(&format!("oauth2.client.{metric}")), "{metric}: {exported}");
        }
        assert!(exported.contains("billing") && exported.contains("count: 2"), "two token requests: {exported}");
    }
}
