//! Agents, offers, the DRF allocator and the task lifecycle.
