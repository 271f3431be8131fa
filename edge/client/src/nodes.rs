//! Servers and agents.

use kogge_model::view::{InvitationView, InviteRequest, NodeView};

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
