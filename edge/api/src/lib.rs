//! The native HTTP API: `/api/v1`, its OpenAPI document, the event stream, `/metrics` and `/healthz`.
//!
//! Owns statuses, problem documents, limits of requests, and the question who asks. Refuses to decide anything
//! about services: every handler is one call of [`kogge_control::Handle`].
//!
//! ```text
//!  TLS ─▶ serve_tls ─▶ tokens ─┐ the name of the token
//!  request ──guard──▶ caller ──deadline──▶ routes/<noun> ──▶ Handle ──▶ view as JSON │ lines │ events │ exec
//!            Host, Origin                     └── Refusal ──▶ problem document (RFC 9457)
//! ```
//!
//! Start reading at [`router()`], then `routes/services.rs`.

mod accept;
mod caller;
mod deadline;
mod extract;
mod guard;
mod lines;
mod openapi;
mod places;
mod problem;
mod router;
mod routes;
mod tokens;

pub use accept::{TlsDoor, serve_tls};
pub use guard::guard;
pub use openapi::document;
pub use problem::{not_found, unavailable};
pub use router::{Api, router};
