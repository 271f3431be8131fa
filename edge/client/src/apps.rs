//! Apps.

use kogge_model::view::{AppView, CreateAppRequest};

use crate::client::Client;
use crate::error::ClientError;
use crate::request::Request;

impl Client {
    /// All apps.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn apps(&self) -> Result<Vec<AppView>, ClientError> {
        self.value(Request::get("/apps")).await
    }

    /// One app.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn app(&self, name: &str) -> Result<AppView, ClientError> {
        self.value(Request::get("/apps").segment(name)).await
    }

    /// Makes an app, or with `is_plan` tells what it would be.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn create_app(&self, name: &str, is_plan: bool) -> Result<AppView, ClientError> {
        let wish = CreateAppRequest { name: name.to_owned() };
        self.send(Request::post("/apps").flag("plan", is_plan), &wish).await
    }
}
