//! The per-task supervisor process and its versioned socket protocol.
