//! Who asks.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use kogge_model::caller::Caller;

use crate::problem::Refused;

/// The caller of a request. The one place that tells who it is: whoever has shown a token is called by its name,
/// whoever reaches us over loopback is the operator, and anybody else is nobody.
#[derive(Debug, Clone)]
pub(crate) struct Asking(pub(crate) Caller);

impl<S: Sync> FromRequestParts<S> for Asking {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refused> {
        if let Some(caller) = parts.extensions.get::<Caller>() {
            return Ok(Self(caller.clone()));
        }
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        if peer.is_some_and(|peer| peer.is_loopback()) {
            return Ok(Self(Caller::local_operator()));
        }
        Err(Refused::forbidden("this API answers only to its own machine").with_hint(
            "run kogge on that machine, or use the door with TLS, which `kogge doors` calls api_tls",
        ))
    }
}
