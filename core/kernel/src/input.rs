//! Everything the kernel can be told.

use kogge_model::id::FrameworkId;
use kogge_model::link;
use kogge_model::scheduler::Call;

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
    /// Time has passed: due at [`crate::Kernel::next_wakeup`].
    Tick,
}
