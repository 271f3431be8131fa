//! Instances.

use kogge_model::view::InstanceView;

use crate::client::Client;
use crate::error::ClientError;
use crate::request::Request;

impl Client {
    /// Instances of an app or a service, or all; with `with_ended` also tasks that are over, as far as they are
    /// remembered.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn instances(
        &self,
        of: Option<&str>,
        with_ended: bool,
    ) -> Result<Vec<InstanceView>, ClientError> {
        let mut request = Request::get("/instances").flag("all", with_ended);
        if let Some(of) = of {
            request = request.query("of", of);
        }
        self.value(request).await
    }
}
