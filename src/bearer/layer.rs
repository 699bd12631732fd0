//! [`BearerAuth`] as a layer of tower.

use tower_layer::Layer;

use super::BearerAuth;
use super::service::BearerService;

impl<I: Clone> Layer<I> for BearerAuth {
    type Service = BearerService<I>;

    fn layer(&self, inner: I) -> Self::Service {
        BearerService::new(self.clone(), inner)
    }
}
