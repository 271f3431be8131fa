//! The campaign: clusters to which something happens, while users ask and clients write all the while.
//!
//! A [`Row`] is one thing that happens, with what is promised for it. It is played on a cluster of its own
//! ([`Stage`]); a router is asked all the while, and clients write a register whose [`history`] must be explained. Chance
//! comes from a seed ([`Dice`]): the same seed plays the same faults again.
//!
//! Start reading at [`Row`], then [`rows`].

mod crowd;
mod dice;
pub mod exchange;
pub mod history;
mod miss;
mod pause;
mod register;
mod requests;
mod row;
pub mod rows;
mod stage;
mod tasks;

pub use dice::Dice;
pub use miss::Miss;
pub use register::{Door, Register, Tally};
pub use requests::Requests;
pub use row::{Report, Row, Trial};
pub use stage::{Stage, WISH, kogge};
pub use tasks::Tasks;
