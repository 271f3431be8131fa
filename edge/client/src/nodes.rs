//! Servers and agents.

use kogge_model::view::NodeView;

use crate::client::Client;
use crate::error::ClientError;
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
}
