//! Everything the kernel can be told.

use kogge_model::id::{AgentId, FrameworkId};
use kogge_model::link;
use kogge_model::scheduler::Call;

use crate::rules::Instruction;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A framework asks for something.
    FromFramework {
        /// Who asks.
        framework: FrameworkId,
        /// What for.
        call: Call,
    },
    /// A framework's connection ended. Its tasks run on; it has its failover time to come back.
    FrameworkGone {
        /// Who left.
        framework: FrameworkId,
    },
    /// An agent said something.
    FromAgent(link::FromAgent),
    /// An operator said something of an agent. What cannot be done is told and leaves everything as it is.
    FromOperator {
        /// Of which.
        agent: AgentId,
        /// What.
        instruction: Instruction,
    },
    /// Time has passed: due at [`crate::Kernel::next_wakeup`].
    Tick,
}
