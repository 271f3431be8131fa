//! Deployments.

use std::time::Duration;

use kogge_model::view::{ChangeView, DeployRequest, DeploymentView};

use crate::client::Client;
use crate::error::ClientError;
use crate::request::{DEADLINE, IMAGE_DEADLINE, Request};

impl Client {
    /// Asks for a service, or with `is_plan` tells what that would change. Takes as long as pulling its image.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn deploy(&self, wish: &DeployRequest, is_plan: bool) -> Result<ChangeView, ClientError> {
        let request = Request::post("/deployments").flag("plan", is_plan).within(IMAGE_DEADLINE);
        self.send(request, wish).await
    }

    /// Deployments that are known, the newest first.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn deployments(&self) -> Result<Vec<DeploymentView>, ClientError> {
        self.value(Request::get("/deployments")).await
    }

    /// How far a deployment is: as soon as it is over, but at the latest after `wait` (at most 20 s).
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn deployment(&self, id: &str, wait: Duration) -> Result<DeploymentView, ClientError> {
        let request = Request::get("/deployments").segment(id);
        self.value(request.query("wait_ms", &wait.as_millis().to_string()).within(DEADLINE + wait)).await
    }
}
