//! Instances.

use kogge_model::view::InstanceView;

use crate::client::Client;
use crate::error::ClientError;
use crate::request::Request;

impl Client {
    /// All instances; with `with_ended` also tasks that are over, as far as they are remembered.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn instances(&self, with_ended: bool) -> Result<Vec<InstanceView>, ClientError> {
        self.value(Request::get("/instances").flag("all", with_ended)).await
    }
}
