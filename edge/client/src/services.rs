//! Services, and changes to those that stand already.

use std::collections::BTreeMap;

use kogge_model::view::{ChangeView, ScaleRequest, ServiceView, ServicesRequest, WhyView};

use crate::client::Client;
use crate::error::ClientError;
use crate::request::Request;

impl Client {
    /// All services.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn services(&self) -> Result<Vec<ServiceView>, ClientError> {
        self.value(Request::get("/services")).await
    }

    /// One service.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn service(&self, name: &str) -> Result<ServiceView, ClientError> {
        self.value(Request::get("/services").segment(name)).await
    }

    /// Changes numbers of instances, all of them or none.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn scale(
        &self,
        instances: BTreeMap<String, u32>,
        is_plan: bool,
    ) -> Result<ChangeView, ClientError> {
        self.send(Request::post("/scale").flag("plan", is_plan), &ScaleRequest { instances }).await
    }

    /// Replaces all instances of the services, a few at a time.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn restart(&self, services: Vec<String>, is_plan: bool) -> Result<ChangeView, ClientError> {
        self.send(Request::post("/restart").flag("plan", is_plan), &ServicesRequest { services }).await
    }

    /// Ends all instances of the services; how many are wished is remembered.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn stop(&self, services: Vec<String>, is_plan: bool) -> Result<ChangeView, ClientError> {
        self.send(Request::post("/stop").flag("plan", is_plan), &ServicesRequest { services }).await
    }

    /// Ends apps (named alone) and services (`app/service`) for good, all of them or none.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn destroy(&self, names: Vec<String>, is_plan: bool) -> Result<ChangeView, ClientError> {
        let wish = ServicesRequest { services: names };
        self.send(Request::post("/destroy").flag("plan", is_plan), &wish).await
    }

    /// Why an app, a service, an instance or a task is as it is.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn why(&self, name: &str) -> Result<WhyView, ClientError> {
        self.value(Request::get("/why").segment(name)).await
    }
}
