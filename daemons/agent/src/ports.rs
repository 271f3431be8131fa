//! What an agent needs from whoever wires it up.

use kogge_model::link::{FromAgent, FromControl};
use tokio::sync::mpsc;

/// The link to control: two channels of messages, over which an adapter (in this process, later TLS) carries them.
///
/// Both are bounded. When [`Link::to_control`] is full a message is dropped: registrations and updates come again
/// until they are answered, signs of life every second. Whoever fills [`Link::from_control`] may do the same, as
/// control repeats its orders until they are answered.
#[derive(Debug)]
pub struct Link {
    /// What the agent says.
    pub to_control: mpsc::Sender<FromAgent>,
    /// What the agent is told; its end means that the link is gone for good.
    pub from_control: mpsc::Receiver<FromControl>,
}

/// Room in a link's channels that makes drops rare: a thousand statuses at once.
pub const LINK_CAPACITY: usize = 1_024;
