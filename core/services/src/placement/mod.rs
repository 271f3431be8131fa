//! Which offer takes which instance: a puzzle of requests and offers, solved without looking at every pair.
//!
//! ```text
//!   request ─▶ pool of its filters ─▶ group of offers ─▶ offer without an instance of the service, the most free
//!               (zone=a, disk!=hdd)    (spread: the       or else the one with the fewest
//!               shared, built once      least crowded
//!               a round                 value first)
//! ```
//!
//! Heaps may be out of date: within a round offers only get smaller and crowds only grow, so an entry is weighed
//! again when it comes up. That makes a placement a few heap operations, however many offers there are.

mod census;
mod host_ports;
mod offer_table;
mod request;
mod shortfall;

pub(crate) use census::{Census, Crowding};
pub(crate) use host_ports::PortCursors;
pub(crate) use offer_table::{OfferTable, OpenOffer};
pub(crate) use request::{NOTHING, Need, Request, allows};
pub(crate) use shortfall::{SeenAgent, shortfall};
