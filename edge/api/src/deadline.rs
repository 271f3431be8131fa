//! No ordinary request waits for ever.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::problem::Refused;

/// The bound of every ordinary request.
pub(crate) const ORDINARY: Duration = Duration::from_secs(30);

/// Answers after [`ORDINARY`] at the latest.
pub(crate) async fn ordinary(request: Request, next: Next) -> Response {
    let is_change = !request.method().is_safe();
    tokio::time::timeout(ORDINARY, next.run(request)).await.unwrap_or_else(|_| {
        let outcome = if is_change { ": whether it was done is not known" } else { "" };
        Refused::unavailable(format!("no answer within {} s{outcome}", ORDINARY.as_secs())).into_response()
    })
}
