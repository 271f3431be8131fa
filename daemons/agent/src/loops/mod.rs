//! What runs as long as the agent does, and the questions that come and go.

pub(crate) mod mend;
pub(crate) mod outbox;
pub(crate) mod probe;
pub(crate) mod reactor;
pub(crate) mod room;
