//! Which offer takes which instance: a puzzle of requests and offers, solved without looking at every pair.
//!
//! ```text
//!   request ──▶ pool of its filters (zone=a, disk!=hdd) ──▶ offers of the pool, the most free first
//!                 shared by all requests with the same        │ no own instance there, fits: taken
//!                 filters; built once a round                 └ else set aside: fewest own instances first
//! ```
//!
//! A pool is a heap whose order may be out of date: within a round offers only get smaller, so an entry is
//! re-weighed when it comes up. That makes a placement a few heap operations, however many offers there are.

mod census;
mod host_ports;
mod offer_table;
mod request;
mod shortfall;

pub(crate) use host_ports::PortCursors;
pub(crate) use offer_table::{OfferTable, OpenOffer};
pub(crate) use request::{Need, Request};
pub(crate) use shortfall::{SeenAgent, shortfall};
