//! Servers and agents.

use kogge_model::view::{
    ChangeView, DrainRequest, InvitationView, InviteRequest, LabelRequest, NodeView, ReserveRequest,
};

use crate::client::Client;
use crate::error::ClientError;
use crate::payload::Payload;
use crate::request::Request;

impl Client {
    /// All servers and agents.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn nodes(&self) -> Result<Vec<NodeView>, ClientError> {
        self.value(Request::get("/nodes")).await
    }

    /// Those of that name.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn node(&self, name: &str) -> Result<Vec<NodeView>, ClientError> {
        self.value(Request::get("/nodes").segment(name)).await
    }

    /// Gives an agent nothing new and has what runs there moved elsewhere.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn drain(
        &self,
        node: &str,
        request: &DrainRequest,
        is_plan: bool,
    ) -> Result<ChangeView, ClientError> {
        self.send(of_node(node, "drain", is_plan), request).await
    }

    /// Uses a drained agent again.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn undrain(&self, node: &str, is_plan: bool) -> Result<ChangeView, ClientError> {
        self.value(of_node(node, "undrain", is_plan)).await
    }

    /// Sets attributes of an agent on top of its own, or takes such away.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn label(
        &self,
        node: &str,
        request: &LabelRequest,
        is_plan: bool,
    ) -> Result<ChangeView, ClientError> {
        self.send(of_node(node, "label", is_plan), request).await
    }

    /// Withholds part of an agent from new tasks.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn reserve(
        &self,
        node: &str,
        request: &ReserveRequest,
        is_plan: bool,
    ) -> Result<ChangeView, ClientError> {
        self.send(of_node(node, "reserve", is_plan), request).await
    }

    /// Forgets an agent that is lost.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn forget(&self, node: &str, is_plan: bool) -> Result<ChangeView, ClientError> {
        self.value(Request::delete("/nodes").segment(node).flag("plan", is_plan)).await
    }

    /// A token that lets one machine in, for `ttl_seconds` or an hour.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn invite(&self, ttl_seconds: Option<u64>) -> Result<InvitationView, ClientError> {
        self.send(Request::post("/join-tokens"), &InviteRequest { ttl_seconds }).await
    }

    /// Hands the lead over to another server.
    ///
    /// # Errors
    /// When there is no other, and as every request: see [`ClientError`].
    pub async fn step_down(&self) -> Result<(), ClientError> {
        self.open(Request::post("/leader/step-down"), Payload::empty(), &[]).await.map(drop)
    }
}

fn of_node(node: &str, what: &str, is_plan: bool) -> Request {
    Request::post("/nodes").segment(node).segment(what).flag("plan", is_plan)
}
