//! Tokens of operators.

use kogge_model::view::{CreateTokenRequest, CreatedTokenView, TokenView};

use crate::client::Client;
use crate::error::ClientError;
use crate::request::Request;

impl Client {
    /// All tokens, without their secrets.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn tokens(&self) -> Result<Vec<TokenView>, ClientError> {
        self.value(Request::get("/tokens")).await
    }

    /// Makes a token; its secret is told this once.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn create_token(&self, wish: &CreateTokenRequest) -> Result<CreatedTokenView, ClientError> {
        self.send(Request::post("/tokens"), wish).await
    }

    /// Takes a token back, named by its name or its id.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn revoke_token(&self, token: &str) -> Result<TokenView, ClientError> {
        self.value(Request::delete("/tokens").segment(token)).await
    }
}
