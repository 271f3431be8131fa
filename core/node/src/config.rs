//! What a node is told once, at its start.

use std::time::Duration;

use kogge_model::agent::AgentInfo;

/// One machine's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// How the agent presents itself.
    pub info: AgentInfo,
    /// Which boot of the machine this is: processes of another one are gone.
    pub boot_id: String,
    /// Starts at once; the others wait their turn, first come, first served.
    pub max_starting: usize,
    /// Starts that wait for their images while others take their places; more of them keep the places they have.
    pub max_awaiting_images: usize,
    /// Between two signs of life.
    pub heartbeat: Duration,
    /// A task that starts is told of after this long, unless it runs by then: most do, and one word is enough.
    pub tell_start_after: Duration,
    /// First wait for an answer before a registration is sent again; doubles up to [`NodeConfig::register_max`]. It is
    /// long, and a leader that has just begun hears thousands of them.
    pub register_first: Duration,
    /// Longest wait for an answer to a registration: until then there is no other sign of life.
    pub register_max: Duration,
    /// First wait for an answer before an update is sent again; doubles up to [`NodeConfig::update_resend_max`].
    pub resend_first: Duration,
    /// Longest wait for the answer to an update. A link that stands loses only what finds no room, and a new registration
    /// says everything again: what is not answered waits in a server that has much to do, and more of it does not help.
    pub update_resend_max: Duration,
    /// Between two SIGKILLs for a task that does not end.
    pub kill_again: Duration,
    /// Ended tasks whose logs are kept on this machine, the newest.
    pub kept_ended: usize,
    /// Of these, at most so many of the same instance.
    pub kept_per_instance: usize,
    /// No ended task is kept longer.
    pub kept_age: Duration,
}

impl NodeConfig {
    /// The defaults of the guarantees' table.
    #[must_use]
    pub fn new(info: AgentInfo, boot_id: impl Into<String>) -> Self {
        Self {
            info,
            boot_id: boot_id.into(),
            max_starting: 16,
            max_awaiting_images: 64,
            heartbeat: Duration::from_secs(1),
            tell_start_after: Duration::from_millis(100),
            register_first: Duration::from_secs(3),
            register_max: Duration::from_secs(5),
            resend_first: Duration::from_secs(1),
            update_resend_max: Duration::from_secs(30),
            kill_again: Duration::from_secs(2),
            kept_ended: 100,
            kept_per_instance: 3,
            kept_age: Duration::from_secs(24 * 60 * 60),
        }
    }
}
